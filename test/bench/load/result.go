package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// result is what a run took.
type result struct {
	took   time.Duration
	times  []time.Duration // of the answers that were as expected
	errors int
	err    error // one of them
}

// load posts the body over so many connections until the time is up.
func load(ctx context.Context, t *target, body []byte, connections int, d time.Duration) result {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	parts := make([]result, connections)
	start := time.Now()
	var group sync.WaitGroup
	for i := range parts {
		group.Go(func() { parts[i] = one(ctx, t, body, i) })
	}
	group.Wait()
	all := result{took: time.Since(start)}
	for _, part := range parts {
		all.times = append(all.times, part.times...)
		all.errors += part.errors
		if all.err == nil {
			all.err = part.err
		}
	}
	if all.err == nil && len(all.times) == 0 {
		all.err = errors.New("nothing was answered")
	}
	slices.Sort(all.times)
	return all
}

// one uses one connection. It ends with the first error on the connection.
func one(ctx context.Context, t *target, body []byte, serial int) (r result) {
	c, err := t.dial(ctx, body, serial)
	if err != nil {
		return result{errors: 1, err: err}
	}
	defer c.conn.Close()
	r.times = make([]time.Duration, 0, 1<<14)
	for ctx.Err() == nil {
		start := time.Now()
		if err := c.post(); err != nil {
			r.errors++
			r.err = err
			if answer := (*unexpected)(nil); !errors.As(err, &answer) {
				return r
			}
			time.Sleep(10 * time.Millisecond)
			continue
		}
		r.times = append(r.times, time.Since(start))
	}
	return r
}

func (r result) percentile(p int) time.Duration {
	if len(r.times) == 0 {
		return 0
	}
	return r.times[min(len(r.times)*p/100, len(r.times)-1)].Round(10 * time.Microsecond)
}

// report prints the result. cpu is what the process took meanwhile.
func (r result) report(o options, process bool, cpu time.Duration, u usage) {
	rate := float64(len(r.times)) / r.took.Seconds()
	each, memory, peak := "?", "?", "?"
	if process && len(r.times) > 0 {
		each = fmt.Sprintf("%.0f µs", float64(cpu.Microseconds())/float64(len(r.times)))
		memory, peak = u.rss.String(), u.peak.String()
	}
	if o.markdown {
		fmt.Printf("| %d | %d | %.0f | %v | %v | %s | %s | %s | %d |\n",
			o.reviewBytes, o.connections, rate, r.percentile(50), r.percentile(99), each, memory, peak, r.errors)
		return
	}
	fmt.Printf("%d admissions of %d bytes in %v over %d connections, %d errors\n", len(r.times), o.reviewBytes, r.took.Round(time.Millisecond), o.connections, r.errors)
	fmt.Printf("rate         %.0f/s\np50          %v\np99          %v\n", rate, r.percentile(50), r.percentile(99))
	if process {
		fmt.Printf("CPU each     %s\nRSS          %s\nRSS at most  %s\n", each, memory, peak)
	}
}
