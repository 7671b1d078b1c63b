package main

import (
	"context"
	"fmt"
	"net"
	"strconv"
)

// runPorts prints one port per argument, in the same order. A port that is
// taken, or asked for twice, is replaced by a free one.
func runPorts(_ context.Context, args []string) error {
	ports, err := freePorts(args)
	if err != nil {
		return err
	}
	for _, p := range ports {
		fmt.Println(p)
	}
	return nil
}

// freePorts holds every port until all are chosen, so that none is chosen twice.
func freePorts(wanted []string) ([]int, error) {
	ports := make([]int, 0, len(wanted))
	for _, w := range wanted {
		if _, err := strconv.ParseUint(w, 10, 16); err != nil {
			return nil, fmt.Errorf("port %q: %w", w, err)
		}
		// On all addresses: a port that is busy on any of them is of no use.
		l, err := net.Listen("tcp", ":"+w)
		if err != nil {
			if l, err = net.Listen("tcp", ":0"); err != nil {
				return nil, err
			}
		}
		defer func() { _ = l.Close() }()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}
