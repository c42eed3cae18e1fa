package samples

import (
	"bytes"
	"encoding/base64"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"strings"
	"testing"
)

// Every sample is a message that a strict reader reads to the end, part by part.
func TestSamplesAreMIME(t *testing.T) {
	total := map[string]int{}
	for _, name := range Names() {
		text, err := Get(name)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.ContainsRune(text, '\r') || !bytes.HasSuffix(text, []byte("\n")) {
			t.Errorf("%s: lines do not end in \\n", name)
		}
		m, err := mail.ReadMessage(bytes.NewReader(text))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if _, err := m.Header.AddressList("From"); err != nil {
			t.Errorf("%s: From: %v", name, err)
		}
		if m.Header.Get("Message-ID") != "" {
			t.Errorf("%s has a Message-ID of its own", name)
		}
		if _, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject")); err != nil {
			t.Errorf("%s: Subject: %v", name, err)
		}
		parts, err := read(m.Header.Get, m.Body)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		total[name] = parts
	}
	for name, parts := range map[string]int{"plain": 1, "alternative": 2, "mixed": 3, "forwarded": 2, "big": 2} {
		if total[name] != parts {
			t.Errorf("%s has %d parts, want %d", name, total[name], parts)
		}
	}
}

// read reads a body, and gives the number of its parts.
func read(header func(string) string, body io.Reader) (parts int, err error) {
	kind, params, err := mime.ParseMediaType(header("Content-Type"))
	if err != nil {
		return 0, err
	}
	if strings.HasPrefix(kind, "multipart/") {
		r := multipart.NewReader(body, params["boundary"])
		for {
			p, err := r.NextRawPart()
			if err == io.EOF {
				return parts, nil
			}
			if err != nil {
				return parts, err
			}
			n, err := read(p.Header.Get, p)
			if err != nil {
				return parts, err
			}
			parts += n
		}
	}
	switch header("Content-Transfer-Encoding") {
	case "base64":
		body = base64.NewDecoder(base64.StdEncoding, body)
	case "quoted-printable":
		body = quotedprintable.NewReader(body)
	}
	_, err = io.Copy(io.Discard, body)
	return 1, err
}

func TestSizes(t *testing.T) {
	big, err := Get("big")
	if err != nil {
		t.Fatal(err)
	}
	if n := len(big); n > 1<<20 || n < 1<<20-100 {
		t.Errorf("big has %d bytes, want one MiB or a line less", n)
	}
	again, _ := Get("big")
	if !bytes.Equal(big, again) {
		t.Error("big differs from one time to the next")
	}
	if _, err := Get("nonsense"); err == nil {
		t.Error("no error for a sample that does not exist")
	}
	if _, err := Get("../text/plain"); err == nil {
		t.Error("no error for a path")
	}
}
