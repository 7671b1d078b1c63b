package config

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/singleflight"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/sse-secure-systems/connaisseur/pkg/registry/credentials"
	"github.com/sse-secure-systems/connaisseur/pkg/validator"
	"github.com/sse-secure-systems/connaisseur/pkg/validator/builtin"
)

const (
	// pullSecretsFor is how long pull secrets are used before they are read
	// again, and missingFor if one of them was not there: it may be under way.
	pullSecretsFor = 30 * time.Second
	missingFor     = 2 * time.Second
	// pullSecretsBound bounds the reading of one workload's.
	pullSecretsBound = 5 * time.Second
	// Tenants decide how many identities there are and how large their Secrets
	// are, and so how much would be remembered.
	maxPullIdentities   = 256
	maxPullSecretsBytes = 128 << 10
	maxAccountSecrets   = 32
)

// PullSecrets reads the pull secrets of workloads through the Kubernetes API.
type PullSecrets struct {
	client  kubernetes.Interface
	entries *lru.Cache[validator.Identity, pulled]
	flights singleflight.Group
	now     func() time.Time
}

type pulled struct {
	set     credentials.Set
	expires time.Time
}

var _ builtin.PullSecrets = (*PullSecrets)(nil)

// NewPullSecrets makes a PullSecrets with the client's rights. It should have a
// client of its own, whose limits keep tenants from slowing down all else.
func NewPullSecrets(client kubernetes.Interface) *PullSecrets {
	entries, err := lru.New[validator.Identity, pulled](maxPullIdentities)
	if err != nil {
		panic(err) // a size that is not positive
	}
	return &PullSecrets{client: client, entries: entries, now: time.Now}
}

// Of implements builtin.PullSecrets.
func (p *PullSecrets) Of(ctx context.Context, who validator.Identity) (credentials.Set, error) {
	if found, ok := p.entries.Get(who); ok && p.now().Before(found.expires) {
		return found.set, nil
	}
	flight := p.flights.DoChan(string(who), func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), pullSecretsBound)
		defer cancel()
		return p.read(ctx, who)
	})
	select {
	case landed := <-flight:
		if landed.Err != nil {
			return credentials.Set{}, landed.Err
		}
		return landed.Val.(credentials.Set), nil
	case <-ctx.Done():
		return credentials.Set{}, validator.AsError(ctx.Err())
	}
}

// read is one flight. It recovers, since a panic in a flight would end the
// process.
func (p *PullSecrets) read(ctx context.Context, who validator.Identity) (set credentials.Set, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = validator.Errorf(validator.Internal, "an internal error prevented reading the pull secrets (panic: %v)", r)
		}
	}()
	namespace, account, names, ok := who.Pods()
	if !ok {
		return set, validator.Errorf(validator.RegistryUnauthorized, "it is not known whose pull secrets to use")
	}
	more, complete, err := p.ofAccount(ctx, namespace, account)
	if err != nil {
		return set, err
	}
	for _, name := range more {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	set, missing, err := p.join(ctx, namespace, names)
	if err != nil {
		return set, err
	}
	lifetime := pullSecretsFor
	if missing || !complete {
		lifetime = missingFor
	}
	p.entries.Add(who, pulled{set, p.now().Add(lifetime)})
	return set, nil
}

// ofAccount names the pull secrets of a service account. One that is not there
// has none.
func (p *PullSecrets) ofAccount(ctx context.Context, namespace, name string) (names []string, found bool, err error) {
	account, err := p.client.CoreV1().ServiceAccounts(namespace).Get(ctx, name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return nil, false, nil
	case err != nil:
		return nil, false, unread("service account", namespace, name, err)
	}
	for _, ref := range account.ImagePullSecrets[:min(len(account.ImagePullSecrets), maxAccountSecrets)] {
		names = append(names, ref.Name)
	}
	return names, true, nil
}

// join reads Secrets. What is not there, or is no pull secret, is passed over,
// as the kubelet does.
func (p *PullSecrets) join(ctx context.Context, namespace string, names []string) (all credentials.Set, missing bool, err error) {
	size := 0
	var sets []credentials.Set
	for _, name := range names {
		secret, err := p.client.CoreV1().Secrets(namespace).Get(ctx, name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			missing = true
			continue
		}
		if err != nil {
			return all, false, unread("Secret", namespace, name, err)
		}
		for _, value := range secret.Data {
			size += len(value)
		}
		if size > maxPullSecretsBytes {
			return all, false, validator.Errorf(validator.RegistryUnauthorized,
				"the pull secrets %v in namespace %s are together larger than the %d bytes that are allowed", names, namespace, maxPullSecretsBytes)
		}
		sets = append(sets, credentials.FromPullSecret("Secret "+namespace+"/"+name, secret.Data).Readable())
	}
	return credentials.Join(sets...), missing, nil
}

// unread is why a pull secret could not be read.
func unread(kind, namespace, name string, err error) error {
	why := "the Kubernetes API does not give it out; trying again may help"
	switch {
	case apierrors.IsForbidden(err):
		why = "it may not be read; for auth.useImagePullSecrets the webhook needs the rights in config/optional/pull-secrets.yaml, which are applied separately"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		why = "the Kubernetes API did not answer in time; trying again may help"
	}
	return &validator.Error{
		Reason:  validator.RegistryUnauthorized,
		Message: fmt.Sprintf("the pull secrets cannot be read: %s %s/%s: %s", kind, namespace, name, why),
		Err:     err,
	}
}
