package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of CPU times in /proc: proc(5), USER_HZ.
const tick = time.Second / 100

type size int64 // bytes

func (s size) String() string { return fmt.Sprintf("%.1f MB", float64(s)/1e6) }

// usage is what a process has taken so far.
type usage struct {
	cpu       time.Duration
	rss, peak size
}

// processOf is the pid that the options name, or 0.
func processOf(o options) (int, error) {
	if o.pidFile == "" {
		return o.pid, nil
	}
	text, err := os.ReadFile(o.pidFile)
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(text))
	if len(fields) == 0 {
		return 0, fmt.Errorf("%s is empty", o.pidFile)
	}
	return strconv.Atoi(fields[0])
}

// readUsage reads proc(5): /proc/PID/stat and /proc/PID/status.
func readUsage(pid int) (usage, error) {
	var u usage
	if pid == 0 {
		return u, nil
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return u, err
	}
	// The second field, in brackets, may hold blanks; utime and stime are the
	// 14th and 15th.
	fields := strings.Fields(string(stat)[strings.LastIndexByte(string(stat), ')')+1:])
	if len(fields) < 13 {
		return u, errors.New("/proc is not as expected")
	}
	for _, field := range fields[11:13] {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return u, err
		}
		u.cpu += time.Duration(n) * tick
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return u, err
	}
	for line := range strings.Lines(string(status)) {
		var kilobytes int64
		switch name, value, _ := strings.Cut(line, ":"); name {
		case "VmRSS", "VmHWM":
			if _, err := fmt.Sscanf(value, "%d kB", &kilobytes); err != nil {
				return u, err
			}
			if name == "VmRSS" {
				u.rss = size(kilobytes << 10)
			} else {
				u.peak = size(kilobytes << 10)
			}
		}
	}
	return u, nil
}
