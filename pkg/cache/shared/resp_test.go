package shared

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAnswersAreReadAsTheProtocolHasThem(t *testing.T) {
	t.Parallel()
	for text, c := range map[string]struct {
		want answer
		err  error
	}{
		"+OK\r\n":                                {answer{text: []byte("OK")}, nil},
		":42\r\n":                                {answer{text: []byte("42")}, nil},
		"$-1\r\n":                                {answer{}, nil},
		"$0\r\n\r\n":                             {answer{text: []byte{}}, nil},
		"$3\r\na\r\n\r\n":                        {answer{text: []byte("a\r\n")}, nil},
		"-WRONGTYPE Operation\r\n":               {answer{failure: "WRONGTYPE"}, nil},
		"-my password is hunter2\r\n":            {answer{failure: "an error"}, nil},
		"-HUNTER2 x\r\n":                         {answer{failure: "an error"}, nil},
		"$16386\r\n":                             {answer{}, errProtocol},
		"$2147483647\r\n":                        {answer{}, errProtocol},
		"$9223372036854775807\r\n":               {answer{}, errProtocol},
		"$99999999999999999999\r\n":              {answer{}, errProtocol},
		"$-2\r\n":                                {answer{}, errProtocol},
		"$1\r\nab\r\n":                           {answer{}, errProtocol},
		"$3\r\nab":                               {answer{}, io.ErrUnexpectedEOF},
		"*1\r\n$1\r\na\r\n":                      {answer{}, errProtocol},
		"%1\r\n":                                 {answer{}, errProtocol},
		"\r\n":                                   {answer{}, errProtocol},
		"\n":                                     {answer{}, errProtocol},
		"+OK\n":                                  {answer{}, errProtocol},
		"+OK":                                    {answer{}, io.EOF},
		"HTTP/1.1 400 Bad Request\r\n":           {answer{}, errProtocol},
		"+" + strings.Repeat("x", 2000) + "\r\n": {answer{}, errProtocol},
		"+" + strings.Repeat("x", 200_000) + "\r\n": {answer{}, errProtocol},
	} {
		got, err := readAnswer(bufio.NewReader(strings.NewReader(text)))
		if diff := cmp.Diff(c.want, got, cmp.AllowUnexported(answer{})); diff != "" || !errors.Is(err, c.err) {
			t.Errorf("%.40q: %v, want %v\n%s", text, err, c.err, diff)
		}
	}
}

func TestCommandsAreWrittenAsTheProtocolHasThem(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	w := bufio.NewWriter(&b)
	if err := errors.Join(command(w, []string{"SET", "a\r\n", ""}), w.Flush()); err != nil {
		t.Fatal(err)
	}
	if got, want := b.String(), "*3\r\n$3\r\nSET\r\n$3\r\na\r\n\r\n$0\r\n\r\n"; got != want {
		t.Errorf("%q", got)
	}
}

// FuzzReadAnswer: whatever answers, no more memory is taken than an entry may have,
// and nothing that it says gets into an error.
func FuzzReadAnswer(f *testing.F) {
	for _, seed := range []string{"", "+OK\r\n", "-ERR no\r\n", ":1\r\n", "$3\r\nabc\r\n", "$-1\r\n", "$9999999999\r\n", "*2\r\n", "$1\r\nab\r\n", "_\r\n", "\x00"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		r := bufio.NewReader(bytes.NewReader(text))
		for range 10 {
			a, err := readAnswer(r)
			if err != nil {
				if !errors.Is(err, errProtocol) && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
					t.Fatalf("%q: %v", text, err)
				}
				return
			}
			if len(a.text) > maxEntry+1 || a.failure != "" && failures[a.failure] == "" && a.failure != "an error" {
				t.Fatalf("%q: %d bytes, %q", text, len(a.text), a.failure)
			}
		}
	})
}
