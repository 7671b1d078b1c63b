package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/sse-secure-systems/connaisseur/pkg/cache"
	"github.com/sse-secure-systems/connaisseur/pkg/config"
	"github.com/sse-secure-systems/connaisseur/pkg/registry/credentials"
	"github.com/sse-secure-systems/connaisseur/pkg/trust/remote"
)

// source says where the configuration is.
type source struct {
	path string
	clusterOptions
	command *cobra.Command
}

// addSource adds the flags for where the configuration is.
func addSource(cmd *cobra.Command) *source {
	s := &source{command: cmd}
	cmd.Flags().StringVar(&s.path, "config", "", "file or folder of Kubernetes YAML with the ConfigMaps (and Secrets) of the configuration; without it, the cluster's are read")
	addCluster(cmd, &s.clusterOptions)
	return s
}

// addCluster adds the flags for which cluster.
func addCluster(cmd *cobra.Command, o *clusterOptions) {
	flags := cmd.Flags()
	flags.StringVar(&o.kubeconfig, "kubeconfig", "", "kubeconfig file; without it, $KUBECONFIG or ~/.kube/config")
	flags.StringVar(&o.context, "context", "", "context of the kubeconfig")
	flags.StringVar(&o.namespace, "system-namespace", config.DefaultNamespace, "namespace where Connaisseur and its configuration are")
	complete(cmd, "context", cobra.NoFileCompletions)
	complete(cmd, "system-namespace", cobra.NoFileCompletions)
}

// read reads the configuration's objects.
func (s *source) read(ctx context.Context, c *cli) (config.Objects, error) {
	if s.path == "" {
		return c.cluster(ctx, s.clusterOptions)
	}
	objects, err := config.ReadFiles(s.path)
	if err != nil {
		return objects, fmt.Errorf("the configuration cannot be read: %w", err)
	}
	if s.command.Flags().Changed("system-namespace") {
		objects.Namespace = s.namespace
	}
	return objects, nil
}

// remoteTimeout bounds the wait for trust material from outside of the cluster.
const remoteTimeout = 10 * time.Second

// loadAll reads and builds the configuration to verify with, and fetches what
// it needs from outside of the cluster.
func (s *source) loadAll(ctx context.Context, c *cli, how *effort) (config.Built, error) {
	wait := remoteTimeout
	if deadline, ok := ctx.Deadline(); ok {
		wait = min(wait, time.Until(deadline))
	}
	options := remote.Options{Wait: wait, Timeout: wait}
	if s.path == "" && c.secrets != nil {
		read, err := c.secrets(s.clusterOptions)
		if err != nil {
			return config.Built{}, err
		}
		options.Secrets = read
	}
	material := remote.New(options)
	defer material.Close()
	return s.build(ctx, c, how, material)
}

// load reads and builds the configuration, and asks nobody for anything else;
// the error says everything that is wrong with it.
func (s *source) load(ctx context.Context, c *cli, how *effort) (config.Built, error) {
	return s.build(ctx, c, how, nil)
}

func (s *source) build(ctx context.Context, c *cli, how *effort, material config.Elsewhere) (config.Built, error) {
	objects, err := s.read(ctx, c)
	if err != nil {
		return config.Built{}, err
	}
	if material != nil {
		objects.Elsewhere = material
	}
	builder := config.NewBuilder(cache.New(how.cache(c))).At(how.at.clock(c.now))
	if err := builder.Recall(objects); err != nil {
		fmt.Fprintf(c.err, "warning: %v\n", err)
	}
	if s.path == "" && c.pullSecrets != nil {
		pulls, err := c.pullSecrets(s.clusterOptions)
		if err != nil {
			return config.Built{}, err
		}
		builder = builder.WithPullSecrets(pulls)
	}
	if how.registryConfig != "" {
		text, err := os.ReadFile(how.registryConfig)
		if err != nil {
			return config.Built{}, fmt.Errorf("the credentials for registries cannot be read: %w", err)
		}
		builder = builder.WithLogins(credentials.FromDockerConfig(how.registryConfig, text))
	}
	built := builder.Build(objects)
	return built, built.Errors.Err()
}

// effort says how to verify.
type effort struct {
	at      instant
	timeout time.Duration
	// registryConfig is a file of Docker's with credentials.
	registryConfig string
}

// addEffort adds the flags for how to verify.
func addEffort(cmd *cobra.Command, each string) *effort {
	e := &effort{}
	cmd.Flags().Var(&e.at, "at", "decide as of this time (RFC 3339, or a date for its midnight in UTC) instead of now")
	cmd.Flags().DurationVar(&e.timeout, "timeout", 30*time.Second, "how long the verification of "+each+" may take")
	cmd.Flags().StringVar(&e.registryConfig, "registry-config", "", "Docker configuration (~/.docker/config.json) with credentials for registries, for validators that have none of their own; credential helpers are not executed")
	complete(cmd, "at", cobra.NoFileCompletions)
	complete(cmd, "timeout", cobra.NoFileCompletions)
	cmd.PreRunE = func(*cobra.Command, []string) error {
		if e.timeout <= 0 {
			return fmt.Errorf("--timeout is %s, but must be longer than nothing", e.timeout)
		}
		return nil
	}
	return e
}

// cache is for one run: no verification in it has less time than the run.
func (e *effort) cache(c *cli) cache.Options {
	return cache.Options{Now: e.at.clock(c.now), FlightTimeout: e.timeout}
}
