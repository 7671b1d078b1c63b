//go:build integration

package clients

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// patience is how long servers may take to start.
const patience = 30 * time.Second

// lifeline runs a program until its own standard input ends, so that no server
// outlives the test, however that ends.
const lifeline = `"$@" & cat >/dev/null; kill $! 2>/dev/null; wait`

// server is a process that runs until it is stopped.
type server struct {
	name    string
	log     string // a file
	stdin   io.Closer
	command *exec.Cmd
}

// startServer starts a program; what it says goes to a file in the folder.
func startServer(dir, name, path string, args ...string) (*server, error) {
	s := &server{name: name, log: filepath.Join(dir, name+".log")}
	output, err := os.Create(s.log)
	if err != nil {
		return nil, err
	}
	defer output.Close()
	s.command = exec.Command("sh", append([]string{"-c", lifeline, name, path}, args...)...)
	s.command.Dir, s.command.Stdout, s.command.Stderr = dir, output, output
	s.command.Env = environment(dir)
	if s.stdin, err = s.command.StdinPipe(); err != nil {
		return nil, err
	}
	return s, s.command.Start()
}

// stop ends the process and waits for that.
func (s *server) stop() {
	s.stdin.Close()
	_ = s.command.Wait() // it was told to end
}

// await waits until check succeeds, and otherwise shows what the server said.
func (s *server) await(ctx context.Context, check func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		err := check(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			said, _ := os.ReadFile(s.log)
			return fmt.Errorf("%s does not answer: %w; it said:\n%s", s.name, err, said)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// answers checks that a URL is served.
func answers(url string) func(context.Context) error { return answersTo(http.DefaultClient, url) }

// answersTo checks that a URL is served to a client.
func answersTo(client *http.Client, url string) func(context.Context) error {
	return func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("%s: %s", url, resp.Status)
		}
		return nil
	}
}

// listens checks that connections to an address are accepted.
func listens(address string) func(context.Context) error {
	return func(ctx context.Context) error {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
		if err == nil {
			err = conn.Close()
		}
		return err
	}
}

// freePorts gives ports on loopback that nobody listens on.
func freePorts(count int) ([]int, error) {
	var ports []int
	for range count {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer listener.Close() // only now, so that they differ
		ports = append(ports, listener.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}

// environment is what the programs run with: nothing of the user's own, neither
// settings nor proxies.
func environment(home string, more ...string) []string {
	return append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "TMPDIR=" + home}, more...)
}
