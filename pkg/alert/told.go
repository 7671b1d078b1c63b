package alert

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
)

// ToldName is the ConfigMap in which replicas tell one another which alerts one of
// them sends, so that no other does.
const ToldName = "connaisseur-alerts"

const (
	toldKey = "told.json"
	// maxTold bounds how many are kept there.
	maxTold = 500
	// again is when an alert is sent again.
	again = 10 * time.Minute
	// toldTimeout bounds the wait for it.
	toldTimeout = 2 * time.Second
	conflicts   = 5
)

// told is one alert there.
type told struct {
	ID string    `json:"id"`
	At time.Time `json:"at"`
}

// ledger is that ConfigMap. Nil knows of no other replica.
type ledger struct {
	maps   corev1client.ConfigMapInterface
	logger *zap.Logger
	now    func() time.Time
}

// first tells whether no replica has sent the alert, and from then on it has. If
// that cannot be found out, it is: twice is better than never.
func (l *ledger) first(ctx context.Context, receiver, id string) bool {
	if l == nil {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, toldTimeout)
	defer cancel()
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q", receiver, id))
	id = hex.EncodeToString(sum[:12])
	for range conflicts {
		first, err := l.try(ctx, id)
		switch {
		case err == nil:
			return first
		case !apierrors.IsConflict(err):
			l.logger.Warn("Other replicas cannot be told of an alert, and may send it too", zap.String("configMap", ToldName), zap.Error(err))
			return true
		}
	}
	return true
}

func (l *ledger) try(ctx context.Context, id string) (first bool, err error) {
	cm, err := l.maps.Get(ctx, ToldName, metav1.GetOptions{})
	if err != nil {
		return true, err
	}
	all := recent(cm, l.now())
	for _, one := range all {
		if one.ID == id {
			return false, nil
		}
	}
	all = append(all, told{id, l.now().UTC().Truncate(time.Second)})
	text, err := json.Marshal(all[max(len(all)-maxTold, 0):])
	if err != nil {
		return true, err
	}
	out := cm.DeepCopy()
	out.Data = map[string]string{toldKey: string(text)}
	_, err = l.maps.Update(ctx, out, metav1.UpdateOptions{})
	return true, err
}

// recent lists the alerts that were sent lately. What cannot be read is written
// anew.
func recent(cm *corev1.ConfigMap, now time.Time) (all []told) {
	var kept []told
	if json.Unmarshal([]byte(cm.Data[toldKey]), &kept) != nil {
		return nil
	}
	for _, one := range kept {
		if now.Sub(one.At).Abs() < again {
			all = append(all, one)
		}
	}
	return all
}
