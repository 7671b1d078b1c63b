package shared

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// The protocol of Redis, RESP, version 2, as far as it is needed:
// https://redis.io/docs/latest/develop/reference/protocol-spec/
//
// A client library would add 8 to 10 MB to the program, and makes room for as many
// bytes as an answer announces.

// maxLine bounds the lines of an answer, in bytes.
const maxLine = 1024

// errProtocol is the error of whatever else answers than a Redis, or one that was
// asked something else.
var errProtocol = errors.New("what answers does not speak the protocol of Redis as expected")

// answer is what a command is answered with.
type answer struct {
	text []byte
	// failure is the code of an error, one of those that are known or "an error": what
	// else a hostile Redis says must not get into logs.
	failure string
}

// failures are the codes of errors and what to do about them.
var failures = map[string]string{
	"WRONGPASS":  "the username or the password is wrong: compare the entries username and password of the Secret with Redis's users",
	"NOAUTH":     "it wants a password: add an entry password to the Secret",
	"NOPERM":     "the user may not do what is needed: see the rights in config/shared-cache.md",
	"OOM":        "its memory is full: give it more, or a maxmemory-policy that takes out old entries",
	"READONLY":   "it is a replica, which takes no entries: name the primary in cache.shared.url",
	"MOVED":      "it is part of a Redis Cluster, which is not supported: use a Redis of its own",
	"LOADING":    "it reads its data from disk after a start",
	"MASTERDOWN": "it is a replica that has lost its primary",
	"DENIED":     "it is in protected mode: give it a password",
	"WRONGTYPE":  "somebody else stores things under the names of entries",
	"MISCONF":    "it cannot save to its disk, and takes no entries",
	"ERR":        "its log may say more",
}

// failed makes an error of an answer that is one.
func (a answer) failed() error {
	if a.failure == "" {
		return nil
	}
	if hint := failures[a.failure]; hint != "" {
		return fmt.Errorf("it answers %s: %s", a.failure, hint)
	}
	return errors.New("it answers with an error that is not known")
}

// command writes a command.
func command(w *bufio.Writer, args []string) error {
	_, _ = fmt.Fprintf(w, "*%d\r\n", len(args)) // an error of a Writer stays
	for _, arg := range args {
		_, _ = fmt.Fprintf(w, "$%d\r\n", len(arg))
		_, _ = w.WriteString(arg)
		_, _ = w.WriteString("\r\n")
	}
	_, err := w.Write(nil)
	return err
}

// readAnswer reads an answer. It takes no more memory than an entry may have, and
// one byte, by which an entry that is too large is told.
func readAnswer(r *bufio.Reader) (answer, error) {
	line, err := readLine(r)
	if err != nil {
		return answer{}, err
	}
	if line == "" {
		return answer{}, errProtocol
	}
	switch kind, rest := line[0], line[1:]; kind {
	case '+', ':':
		return answer{text: []byte(rest)}, nil
	case '-':
		code, _, _ := strings.Cut(rest, " ")
		if failures[code] == "" {
			code = "an error"
		}
		return answer{failure: code}, nil
	case '$':
		return readText(r, rest)
	}
	return answer{}, errProtocol
}

func readLine(r *bufio.Reader) (string, error) {
	line, err := r.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return "", errProtocol
	case err != nil:
		return "", err
	case len(line) > maxLine || len(line) < 2 || line[len(line)-2] != '\r':
		return "", errProtocol
	}
	return string(line[:len(line)-2]), nil
}

// readText reads as many bytes as were announced, if that is not too many. The text
// of what is not there is empty.
func readText(r *bufio.Reader, announced string) (answer, error) {
	n, err := strconv.Atoi(announced)
	switch {
	case announced == "-1":
		return answer{}, nil
	case err != nil || n < 0 || n > maxEntry+1:
		return answer{}, errProtocol
	}
	text := make([]byte, n+2)
	if _, err := io.ReadFull(r, text); err != nil {
		return answer{}, err
	}
	if string(text[n:]) != "\r\n" {
		return answer{}, errProtocol
	}
	return answer{text: text[:n]}, nil
}
