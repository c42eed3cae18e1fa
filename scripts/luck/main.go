// Luck compares finding races by luck with finding them by search, in equal
// time: two queue runners serve one slice on a local tmpfs, are killed and
// started again at random, and hand their messages to a real SMTP server; then
// screwtape searches the same set-up with each of its strategies. It prints a
// Markdown table of how many of each anomaly came, reckoned for a minute.
//
// scripts/against-luck builds and runs it.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/mail"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/emersion/go-smtp"

	"screwtape/runner/profile"
	"screwtape/runner/queue"
)

// kinds are the columns of the table.
var kinds = []string{"lost-message", "double-delivery", "stray-copy"}

func main() {
	program := flag.String("screwtape", "", "the program to run")
	each := flag.Duration("time", time.Minute, "how long each way of finding may take")
	kill := flag.Duration("kill", 200*time.Millisecond, "a runner is killed after each such `time`, on average")
	dir := flag.String("dir", "/dev/shm", "the directory, on a tmpfs, below which the queues are")
	seed := flag.Uint64("seed", 1, "of whatever is random")
	flag.Parse()
	if err := compare(*program, *each, *kill, *dir, *seed); err != nil {
		fmt.Fprintln(os.Stderr, "luck:", err)
		os.Exit(1)
	}
}

func compare(program string, each, kill time.Duration, dir string, seed uint64) error {
	fmt.Printf("| %v of | tries in that time | lost a minute | double a minute | stray a minute |\n|---|---|---|---|---|\n", each)
	natively := luck{program: program, each: each, kill: kill, dir: dir, rng: rand.New(rand.NewPCG(seed, 0))}
	if err := natively.row("luck: kill -9 and restart"); err != nil {
		return err
	}
	if _, err := exec.LookPath("strace"); err != nil {
		fmt.Println("| luck with delays | strace is not there | | | |")
	} else {
		delayed := luck{program: program, each: each, kill: kill, dir: dir, rng: rand.New(rand.NewPCG(seed, 1)), strace: true}
		if err := delayed.row("luck, and delays by strace --inject"); err != nil {
			return err
		}
	}
	for _, strategy := range []string{"random", "pct2", "pct3", "pos", "portfolio"} {
		if err := search(program, strategy, each, seed); err != nil {
			return err
		}
	}
	return nil
}

// search has screwtape search for so long, and prints a row of the table.
func search(program, strategy string, each time.Duration, seed uint64) error {
	runs, err := os.MkdirTemp("", "luck")
	if err != nil {
		return err
	}
	defer os.RemoveAll(runs)
	cmd := exec.Command(program, "test", "--nemesis", "crash,overlap", "--strategy", strategy, "--budget", each.String(),
		"--seed", fmt.Sprint(seed), "--no-shrink", "--json")
	cmd.Dir, cmd.Stderr = runs, io.Discard
	out, err := cmd.Output()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return err
	}
	var report struct {
		Schedules          int
		Seconds            float64
		Anomalies, Allowed []struct {
			Kind  string
			Count int
		}
	}
	if err := json.Unmarshal(out, &report); err != nil {
		return fmt.Errorf("%s: %w", strategy, err)
	}
	found := map[string]int{}
	for _, a := range append(report.Anomalies, report.Allowed...) {
		found[strings.TrimSuffix(a.Kind, "-after-crash")] += a.Count
	}
	row("screwtape, "+strategy, fmt.Sprintf("%d schedules", report.Schedules), report.Seconds, found)
	return nil
}

// row prints how many of each were found, reckoned for a minute.
func row(name, tries string, seconds float64, found map[string]int) {
	fmt.Printf("| %s | %s ", name, tries)
	for _, kind := range kinds {
		fmt.Printf("| %.0f ", float64(found[kind])*60/seconds)
	}
	fmt.Println("|")
}

// A luck runs the runners as anybody would, and kills them now and then.
type luck struct {
	program    string
	each, kill time.Duration
	dir        string
	strace     bool
	rng        *rand.Rand

	queues    string
	port      int
	mu        sync.Mutex
	delivered map[string]int
	accepted  []string
	runners   [2]*exec.Cmd
}

func (l *luck) row(name string) error {
	var err error
	if l.queues, err = os.MkdirTemp(l.dir, "luck"); err != nil {
		return err
	}
	defer os.RemoveAll(l.queues)
	for _, q := range []string{"out", "bad", "shunt", "retry"} {
		if err := os.Mkdir(filepath.Join(l.queues, q), 0o770); err != nil {
			return err
		}
	}
	server, err := l.serve()
	if err != nil {
		return err
	}
	defer server.Close()
	for i := range l.runners {
		if err := l.start(i, l.strace); err != nil {
			return err
		}
	}
	began := time.Now()
	if err := l.run(began); err != nil {
		return err
	}
	seconds := time.Since(began).Seconds()
	if err := l.drain(); err != nil {
		return err
	}
	row(name, fmt.Sprintf("%d messages", len(l.accepted)), seconds, l.judge())
	return nil
}

// serve is the mail server.
func (l *luck) serve() (*smtp.Server, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	l.port, l.delivered = listener.Addr().(*net.TCPAddr).Port, map[string]int{}
	s := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return session{l}, nil }))
	s.Domain = "luck.example"
	s.ErrorLog = log.New(io.Discard, "", 0) // of clients that were killed
	go s.Serve(listener)
	return s, nil
}

type session struct{ *luck }

func (session) Reset()                               {}
func (session) Logout() error                        { return nil }
func (session) Mail(string, *smtp.MailOptions) error { return nil }
func (session) Rcpt(string, *smtp.RcptOptions) error { return nil }
func (s session) Data(r io.Reader) error {
	msg, err := mail.ReadMessage(r)
	if err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, msg.Body); err != nil {
		return err // its sender was killed in the middle
	}
	id, _, _ := strings.Cut(strings.Trim(msg.Header.Get("Message-Id"), "<> "), "@")
	s.mu.Lock()
	defer s.mu.Unlock()
	s.delivered[id]++
	return nil
}

// start starts a runner, with random delays at its calls if they are asked for.
func (l *luck) start(i int, delays bool) error {
	args := []string{l.program, "runner", "queue", "--dir", l.queues, "--queue", "out", "--smtp-port", fmt.Sprint(l.port)}
	if delays {
		inject := fmt.Sprintf("inject=rename,unlink,openat:delay_enter=%d:when=%d+%d", l.rng.IntN(20_000), 1+l.rng.IntN(20), 1+l.rng.IntN(5))
		args = append([]string{"strace", "-f", "--kill-on-exit", "-o", "/dev/null", "-e", "trace=rename,unlink,openat", "-e", inject}, args...)
	}
	l.runners[i] = exec.Command(args[0], args[1:]...)
	return l.runners[i].Start()
}

// run puts messages in, about 80 a second, and kills runners.
func (l *luck) run(began time.Time) error {
	next := began.Add(l.kill)
	for n := 0; time.Since(began) < l.each; n++ {
		if err := l.put(n); err != nil {
			return err
		}
		if time.Now().After(next) {
			if err := l.restart(l.rng.IntN(len(l.runners))); err != nil {
				return err
			}
			next = time.Now().Add(time.Duration(l.rng.Int64N(int64(2 * l.kill))))
		}
		time.Sleep(time.Duration(l.rng.IntN(25)) * time.Millisecond)
	}
	return nil
}

func (l *luck) put(n int) error {
	p, err := profile.Get("2.1.39")
	if err != nil {
		return err
	}
	id := fmt.Sprintf("m%d", n)
	name, data, err := queue.Entry(float64(time.Now().UnixMicro())/1e6, "plain", id, p)
	if err != nil {
		return err
	}
	file := filepath.Join(l.queues, "out", name)
	if err := os.WriteFile(file+".tmp", data, 0o660); err != nil {
		return err
	}
	l.accepted = append(l.accepted, id)
	return os.Rename(file+".tmp", file)
}

func (l *luck) restart(i int) error {
	l.runners[i].Process.Kill()
	l.runners[i].Wait()
	return l.start(i, l.strace)
}

// drain lets the runners, started once more, do what is left.
func (l *luck) drain() error {
	for i := range l.runners {
		l.runners[i].Process.Kill()
		l.runners[i].Wait()
		if err := l.start(i, false); err != nil {
			return err
		}
	}
	for range 100 {
		if left, _ := filepath.Glob(filepath.Join(l.queues, "out", "*")); len(left) == 0 {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	for i := range l.runners {
		l.runners[i].Process.Kill()
		l.runners[i].Wait()
	}
	return nil
}

// judge counts what came of the messages. What still lies in the queue is not
// lost.
func (l *luck) judge() map[string]int {
	lies := map[string]string{}
	filepath.WalkDir(l.queues, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return nil
		}
		if data, err := os.ReadFile(path); err == nil {
			if id, err := queue.MessageID(data); err == nil {
				lies[id] = filepath.Ext(path)
			}
		}
		return nil
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	found := map[string]int{}
	for _, id := range l.accepted {
		switch at := lies[id]; {
		case l.delivered[id] == 0 && (at == "" || at == ".psv"):
			found["lost-message"]++
		case l.delivered[id] > 1:
			found["double-delivery"]++
		}
		if l.delivered[id] > 0 && lies[id] == ".psv" {
			found["stray-copy"]++
		}
	}
	return found
}
