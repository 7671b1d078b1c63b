// Load posts AdmissionReviews to a webhook on this machine, over HTTPS with
// connections that are kept, and says what that took.
//
//	go run ./test/bench/load --url https://127.0.0.1:9543/mutate --ca ca.pem --image registry.example.com/app:v1
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"

	"github.com/sse-secure-systems/connaisseur/test/bench/review"
)

// What one run may do at most.
const (
	maxConnections = 256
	maxDuration    = 30 * time.Second
)

type options struct {
	url, ca, image string
	reviewBytes    int
	connections    int
	duration       time.Duration
	pid            int
	pidFile        string
	markdown       bool
	print          bool
}

func parse(args []string) (options, error) {
	var o options
	flags := flag.NewFlagSet("load", flag.ContinueOnError)
	flags.StringVar(&o.url, "url", "", "the webhook, https://… on this machine")
	flags.StringVar(&o.ca, "ca", "", "`file` with the certification authority of the webhook")
	flags.StringVar(&o.image, "image", "", "the image of the Pod that is to be admitted")
	flags.IntVar(&o.reviewBytes, "review-bytes", 1024, "size of an AdmissionReview")
	flags.IntVar(&o.connections, "connections", 16, fmt.Sprintf("how many at a time, at most %d", maxConnections))
	flags.DurationVar(&o.duration, "duration", 10*time.Second, fmt.Sprintf("how long, at most %v", maxDuration))
	flags.IntVar(&o.pid, "pid", 0, "the webhook's process, to tell what CPU time and memory it takes")
	flags.StringVar(&o.pidFile, "pid-file", "", "`file` that starts with the webhook's pid")
	flags.BoolVar(&o.markdown, "markdown", false, "print the result as a row of a table")
	flags.BoolVar(&o.print, "print-review", false, "print the AdmissionReview, for other load generators, and do nothing")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	switch {
	case flags.NArg() > 0:
		return o, fmt.Errorf("what is %q?", flags.Arg(0))
	case o.image == "":
		return o, errors.New("--image is missing")
	case o.print:
		return o, nil
	case o.url == "" || o.ca == "":
		return o, errors.New("--url and --ca are needed")
	case o.connections < 1 || o.connections > maxConnections:
		return o, fmt.Errorf("--connections must be 1 to %d", maxConnections)
	case o.duration <= 0 || o.duration > maxDuration:
		return o, fmt.Errorf("--duration must be at most %v", maxDuration)
	}
	return o, nil
}

func main() {
	o, err := parse(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err == nil {
		err = run(o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

func run(o options) error {
	body, err := review.Pod(o.reviewBytes, o.image)
	if err != nil {
		return err
	}
	if o.print {
		_, err := os.Stdout.Write(body)
		return err
	}
	target, err := newTarget(o.url, o.ca)
	if err != nil {
		return err
	}
	pid, err := processOf(o)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	// What is measured is a webhook that has seen the image before, with
	// connections that are open.
	if warm := load(ctx, target, body, o.connections, time.Second); warm.err != nil {
		return warm.err
	}
	before, err := readUsage(pid)
	if err != nil {
		return err
	}
	result := load(ctx, target, body, o.connections, o.duration)
	after, err := readUsage(pid)
	if err != nil {
		return err
	}
	result.report(o, pid != 0, after.cpu-before.cpu, after)
	return result.err
}
