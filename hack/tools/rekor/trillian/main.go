// Trillian is the log server and the signer of github.com/google/trillian in
// one process, because that is what it takes to have the log in memory: the
// programs that come with Trillian want a database.
package main

import (
	"context"
	"flag"
	"log"
	"net"
	"os/signal"
	"syscall"
	"time"

	"github.com/google/trillian"
	"github.com/google/trillian/extension"
	trillianlog "github.com/google/trillian/log"
	"github.com/google/trillian/monitoring"
	"github.com/google/trillian/quota"
	"github.com/google/trillian/server"
	"github.com/google/trillian/server/admin"
	"github.com/google/trillian/server/interceptor"
	"github.com/google/trillian/storage"
	_ "github.com/google/trillian/storage/memory" // the one that needs no server
	"github.com/google/trillian/util/clock"
	"github.com/google/trillian/util/election2"
	"google.golang.org/grpc"
)

func main() {
	address := flag.String("address", "localhost:8090", "where to listen")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := serve(ctx, *address); err != nil {
		log.Fatal(err)
	}
}

func serve(ctx context.Context, address string) error {
	metrics := monitoring.InertMetricFactory{}
	provider, err := storage.NewProvider("memory", metrics)
	if err != nil {
		return err
	}
	registry := extension.Registry{
		AdminStorage:    provider.AdminStorage(),
		LogStorage:      provider.LogStorage(),
		QuotaManager:    quota.Noop(),
		ElectionFactory: election2.NoopFactory{},
		MetricFactory:   metrics,
	}
	go sequence(ctx, registry)

	checks := interceptor.New(registry.AdminStorage, registry.QuotaManager, false, metrics)
	rpc := grpc.NewServer(grpc.ChainUnaryInterceptor(interceptor.ErrorWrapper, checks.UnaryInterceptor))
	trillian.RegisterTrillianLogServer(rpc, server.NewTrillianLogRPCServer(registry, clock.System))
	trillian.RegisterTrillianAdminServer(rpc, admin.New(registry, []trillian.TreeType{trillian.TreeType_LOG}))
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	go func() {
		<-ctx.Done()
		rpc.Stop()
	}()
	return rpc.Serve(listener)
}

// sequence takes queued leaves into the log, often, so that signers do not wait.
func sequence(ctx context.Context, registry extension.Registry) {
	trillianlog.NewOperationManager(trillianlog.OperationInfo{
		Registry:    registry,
		BatchSize:   100,
		NumWorkers:  1,
		RunInterval: 50 * time.Millisecond,
		TimeSource:  clock.System,
	}, trillianlog.NewSequencerManager(registry, 0)).OperationLoop(ctx)
}
