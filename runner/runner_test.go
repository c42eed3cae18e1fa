package runner

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
	"github.com/google/go-cmp/cmp"

	"screwtape/runner/pickle"
	"screwtape/runner/profile"
	"screwtape/runner/queue"
	"screwtape/runner/samples"
)

// command is a runner's process-to-be: the test binary is one when it is started
// as one.
func command(args ...string) (*exec.Cmd, *bytes.Buffer) {
	cmd := exec.Command(os.Args[0], append([]string{"runner"}, args...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	return cmd, &stderr
}

// run runs a runner to its end and gives its exit status, output and log.
func run(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	cmd, log := command(args...)
	out, err := cmd.Output()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(out), log.String()
}

// inject puts a sample into a queue, and gives the entry's file name.
func inject(t *testing.T, dir, version, sample, id string) string {
	t.Helper()
	status, out, log := run(t, "inject", "--dir", dir, "--profile", version, "--message", sample, "--id", id)
	if status != 0 || log != "" {
		t.Fatalf("inject: status %d, log %q", status, log)
	}
	return strings.TrimSpace(out)
}

// A sink is a mail server that keeps what it takes.
type sink struct {
	port string
	// answer, if set, is asked for the reply to a message's body: nil takes
	// it.
	answer func(id string) error

	mu    sync.Mutex
	texts []string
}

func newSink(t *testing.T, answer func(id string) error) *sink {
	t.Helper()
	s := &sink{answer: answer}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.port = strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
	server := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &session{s}, nil }))
	server.Domain = "sink.example"
	go server.Serve(l)
	t.Cleanup(func() { server.Close() })
	return s
}

// ids are the ids of the messages taken, in the order of their coming.
func (s *sink) ids() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var ids []string
	for _, text := range s.texts {
		id, err := queue.MessageID([]byte(text))
		if err != nil {
			id = err.Error()
		}
		ids = append(ids, id)
	}
	return ids
}

type session struct{ *sink }

func (s *session) Mail(string, *smtp.MailOptions) error { return nil }
func (s *session) Rcpt(string, *smtp.RcptOptions) error { return nil }
func (s *session) Reset()                               {}
func (s *session) Logout() error                        { return nil }
func (s *session) Data(r io.Reader) error {
	text, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if s.answer != nil {
		id, _ := queue.MessageID(text)
		if err := s.answer(id); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.texts = append(s.texts, strings.ReplaceAll(string(text), "\r\n", "\n"))
	return nil
}

// refuse is a server's reply to a message.
func refuse(code int) error {
	return &smtp.SMTPError{Code: code, EnhancedCode: smtp.NoEnhancedCode, Message: "not now"}
}

// tree lists the files below dir, without those directories that are empty.
func tree(t *testing.T, dir string) []string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			rel, _ := filepath.Rel(dir, path)
			names = append(names, rel)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	sort.Strings(names)
	return names
}

func want(t *testing.T, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func TestEverySampleIsDeliveredAsItIs(t *testing.T) {
	for _, version := range profile.Names() {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			s := newSink(t, nil)
			var texts []string
			for _, name := range samples.Names() {
				inject(t, dir, version, name, name)
				body, err := samples.Get(name)
				if err != nil {
					t.Fatal(err)
				}
				texts = append(texts, "Message-ID: <"+name+"@screwtape.example>\n"+string(body))
			}
			status, out, log := run(t, "queue", "--dir", dir, "--profile", version, "--until-empty", "--smtp-port", s.port)
			want(t, "status, output, log", fmt.Sprintf("%d %q %q", status, out, log), `0 "" ""`)
			want(t, "delivered", s.texts, texts)
			want(t, "files left", tree(t, dir), []string(nil))
		})
	}
}

func TestSlicesShareTheQueue(t *testing.T) {
	dir := t.TempDir()
	s := newSink(t, nil)
	var ids []string
	for i := range 12 {
		id := fmt.Sprintf("m%02d", i)
		ids = append(ids, id)
		inject(t, dir, "2.1.39", "plain", id)
	}
	for _, slice := range []string{"0", "1", "2"} {
		before := len(s.ids())
		run(t, "queue", "--dir", dir, "--until-empty", "--smtp-port", s.port, "--slice", slice, "--slices", "3")
		if len(s.ids()) == 12 && slice == "0" {
			t.Errorf("slice 0 took all, from %d on", before)
		}
	}
	got := s.ids()
	sort.Strings(got)
	want(t, "delivered by three slices", got, ids)
}

func TestRefusals(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closedPort := strconv.Itoa(closed.Addr().(*net.TCPAddr).Port)
	closed.Close()
	for _, tt := range []struct {
		name       string
		code       int
		port, log  string
		inRetry    int
		deliveries int
	}{
		{name: "temporary", code: 451, inRetry: 1},
		{name: "shutting down", code: 421, inRetry: 1},
		{name: "permanent", code: 550, log: "delivery failed: 550 not now\n"},
		{name: "no server", port: closedPort, inRetry: 1},
	} {
		for _, version := range profile.Names() {
			t.Run(tt.name+"/"+version, func(t *testing.T) {
				dir := t.TempDir()
				port := tt.port
				if port == "" {
					port = newSink(t, func(string) error { return refuse(tt.code) }).port
				}
				name := inject(t, dir, version, "plain", "m0")
				status, _, log := run(t, "queue", "--dir", dir, "--profile", version, "--until-empty", "--smtp-port", port)
				want(t, "status and log", fmt.Sprintf("%d %s", status, log), "0 "+tt.log)
				left := tree(t, dir)
				if len(left) != tt.inRetry {
					t.Fatalf("left: %q", left)
				}
				if tt.inRetry == 0 {
					return
				}
				if !strings.HasPrefix(left[0], "retry/") || !strings.HasSuffix(left[0], ".pck") {
					t.Errorf("left: %q", left)
				}
				if when, _, _ := strings.Cut(name, "+"); version != "3.3.8" && !strings.HasPrefix(left[0], "retry/"+when+"+") {
					t.Errorf("%s does not keep the time received of %s", left[0], name)
				}
				// It is not due: the retry runner puts it in again, where it has it wait.
				status, _, log = run(t, "queue", "--dir", dir, "--profile", version, "--queue", "retry", "--once")
				want(t, "retry runner", fmt.Sprintf("%d %s", status, log), "0 ")
				again, to := tree(t, dir), "retry/"
				if version != "2.1.39" {
					to = "out/"
				}
				if len(again) != 1 || !strings.HasPrefix(again[0], to) || again[0] == left[0] {
					t.Errorf("after the retry runner: %q, before: %q", again, left)
				}
			})
		}
	}
}

// waitAsleep waits until the process's main thread sleeps.
func waitAsleep(t *testing.T, pid int) {
	t.Helper()
	prefix := fmt.Sprintf("%d ", syscall.SYS_CLOCK_NANOSLEEP)
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		call, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/syscall", pid, pid))
		if errors.Is(err, os.ErrPermission) {
			t.Skip("SKIPPED TestStop: the kernel does not show /proc/PID/syscall here")
		}
		if strings.HasPrefix(string(call), prefix) {
			return
		}
	}
	t.Fatal("the runner does not sleep")
}

func TestStop(t *testing.T) {
	for sig, status := range map[os.Signal]int{syscall.SIGTERM: 15, syscall.SIGINT: 2} {
		t.Run("asleep/"+sig.String(), func(t *testing.T) {
			cmd, log := command("queue", "--dir", t.TempDir())
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			defer cmd.Process.Kill()
			waitAsleep(t, cmd.Process.Pid)
			cmd.Process.Signal(sig)
			cmd.Wait()
			want(t, "status", cmd.ProcessState.String(), fmt.Sprintf("exit status %d", status))
			want(t, "log", log.String(), "")
		})
		t.Run("working/"+sig.String(), func(t *testing.T) {
			dir := t.TempDir()
			inject(t, dir, "2.1.39", "plain", "m0")
			second := inject(t, dir, "2.1.39", "plain", "m1")
			var cmd *exec.Cmd
			started := make(chan bool)
			s := newSink(t, func(string) error { <-started; return cmd.Process.Signal(sig) })
			cmd, _ = command("queue", "--dir", dir, "--smtp-port", s.port)
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			close(started)
			cmd.Wait()
			want(t, "status", cmd.ProcessState.String(), fmt.Sprintf("exit status %d", status))
			want(t, "delivered: the message it was at", s.ids(), []string{"m0"})
			want(t, "left", tree(t, dir), []string{"out/" + second})
		})
	}
}

// N16: a name that is no entry's ends the runner, each time that it starts.
func TestBadNameEndsTheRunner(t *testing.T) {
	for version, log := range map[string]string{
		"2.1.15": "ValueError: need more than 1 value to unpack\n",
		"2.1.39": "ValueError: need more than 1 value to unpack\n",
		"3.3.8":  "ValueError: not enough values to unpack (expected 2, got 1)\n",
	} {
		dir := t.TempDir()
		inject(t, dir, version, "plain", "m0")
		if err := os.WriteFile(dir+"/out/foo.pck", nil, 0o600); err != nil {
			t.Fatal(err)
		}
		status, _, got := run(t, "queue", "--dir", dir, "--profile", version, "--until-empty")
		want(t, version, fmt.Sprintf("%d %s", status, got), "1 "+log)
	}
}

func TestMemoryDoesNotGrowWithMessages(t *testing.T) {
	dir := t.TempDir()
	s := newSink(t, nil)
	p, err := profile.Get("2.1.39")
	if err != nil {
		t.Fatal(err)
	}
	os.Mkdir(dir+"/out", 0o770)
	const messages = 60 // of one MiB
	for i := range messages {
		name, data, err := queue.Entry(1e9+float64(i), "big", fmt.Sprint(i), p)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(dir+"/out/"+name, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd, log := command("queue", "--dir", dir, "--smtp-port", s.port)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill()
	waitAsleep(t, cmd.Process.Pid) // when all is done
	want(t, "delivered", len(s.ids()), messages)
	want(t, "log", log.String(), "")
	// Not the resource usage: that of a child begins with its parent's.
	proc, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	_, peak, _ := strings.Cut(string(proc), "VmHWM:")
	if kib, err := strconv.Atoi(strings.Fields(peak)[0]); err != nil || kib > 96<<10 {
		t.Errorf("it took %d KiB, %v", kib, err)
	}
}

func TestUsage(t *testing.T) {
	for _, args := range []string{
		"", "nonsense", "queue --nonsense", "queue --profile 2.1.16", "queue --bugs nonsense", "queue rest",
		"queue --profile 3.3.8 --save-bad=false", "inject --id m0 --message nonsense", "inject", "inject --id <m0>", "show",
		"send --to a@x", "send text", "send --to a@x --port 0 text", "send --to a@x --port 65536 text",
	} {
		status, out, log := run(t, strings.Fields(args)...)
		if status != 254 || out != "" || log == "" {
			t.Errorf("runner %s: status %d, output %q, log %q; want 254, none, and a word", args, status, out, log)
		}
	}
}

func TestShow(t *testing.T) {
	dir := t.TempDir()
	name := inject(t, dir, "3.3.8", "eight-bit", "m0")
	status, out, _ := run(t, "show", dir+"/out/"+name)
	body, _ := samples.Get("eight-bit")
	want(t, "shown", fmt.Sprint(status, " ", out), `0 message "m0"
_parsemsg = true
listid = "test.screwtape.example"
listname = "test"
recipients = pickle.Strings{"anna@screwtape.example"}
version = 3

Message-ID: <m0@screwtape.example>
`+string(body))
	os.Truncate(dir+"/out/"+name, 100)
	status, out, log := run(t, "show", dir+"/out/"+name)
	want(t, "shown of half a file", fmt.Sprint(status, " ", out), "1 message \"m0\"\n")
	if !strings.Contains(log, "truncated") {
		t.Errorf("log: %q", log)
	}
}

// What has waited long enough goes from retry back to out, and can be delivered.
func TestRetryRunnerGivesBackWhatIsDue(t *testing.T) {
	for _, version := range profile.Names() {
		t.Run(version, func(t *testing.T) {
			s := newStage(t, version, nil)
			x := s.put("m0", func(m pickle.Metadata) { m["deliver_after"] = 1.5 })
			if err := os.Rename(s.dir+"/out", s.dir+"/retry"); err != nil {
				t.Fatal(err)
			}
			status, _, log := run(t, "queue", "--dir", s.dir, "--profile", version, "--queue", "retry", "--once")
			want(t, "status and log", fmt.Sprint(status, log), "0")
			left := tree(t, s.dir)
			if len(left) != 1 || !strings.HasPrefix(left[0], "out/") || strings.Contains(left[0], x) {
				t.Errorf("left %q, want a new entry in out", left)
			}
			s.start("A").run(true, false)
			want(t, "delivered", s.taken, []string{"m0"})
		})
	}
}

// C5: two runners in one queue, by luck alone. How often they meet is not said;
// but whatever happens, each message is delivered exactly once, since nobody
// dies and nobody starts late.
func TestTwoRunnersInOneQueue(t *testing.T) {
	dir := t.TempDir()
	s := newSink(t, nil)
	p, err := profile.Get("2.1.39")
	if err != nil {
		t.Fatal(err)
	}
	// They start on an empty queue: a starting one would recover the other's.
	var runners []*exec.Cmd
	for range 2 {
		cmd, _ := command("queue", "--dir", dir, "--smtp-port", s.port)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		defer cmd.Process.Kill()
		waitAsleep(t, cmd.Process.Pid)
		runners = append(runners, cmd)
	}
	var ids []string
	for i := range 50 {
		id := fmt.Sprintf("m%02d", i)
		ids = append(ids, id)
		name, data, err := queue.Entry(1e9+float64(i), "plain", id, p)
		if err != nil {
			t.Fatal(err)
		}
		// As an enqueue does: never seen half written.
		if err := os.WriteFile(dir+"/out/"+name+".tmp", data, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(dir+"/out/"+name+".tmp", dir+"/out/"+name); err != nil {
			t.Fatal(err)
		}
	}
	for deadline := time.Now().Add(15 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if left, err := filepath.Glob(dir + "/out/*"); err == nil && len(left) == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the queue is not served")
		}
	}
	for _, cmd := range runners {
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
		want(t, "ends", cmd.ProcessState.String(), "exit status 15")
	}
	got := s.ids()
	sort.Strings(got)
	want(t, "delivered", got, ids)
}

// What was preserved is an entry as it was: put back by hand, under its old name,
// it is delivered (docs/setups.md, After a loss).
func TestPreservedIsPutBack(t *testing.T) {
	for _, version := range profile.Names() {
		s := newStage(t, version, nil)
		x := s.put("m0")
		a := s.start("A")
		if _, err := a.queue.Dequeue(x); err != nil {
			t.Fatal(err)
		}
		a.queue.Finish(x, true)
		if err := os.Rename(s.dir+"/bad/"+x+".psv", s.dir+"/out/"+x+".pck"); err != nil {
			t.Fatal(err)
		}
		a.run(true, false)
		if len(s.taken) != 1 {
			t.Errorf("%s: the mail server took %q", version, s.taken)
		}
	}
}
