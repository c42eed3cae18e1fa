package runner

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// realMailman is where scripts/mailman3-setup puts Mailman 3.3.8.
const realMailman = "/var/tmp/screwtape-mailman3"

// refusals are what a start says that does not get the lock, in the words of the
// original or in ours; the first that matches is meant.
var refusals = []struct {
	kind  string
	words *regexp.Regexp
}{
	{"another runs", regexp.MustCompile(`already running`)},
	{"not clean", regexp.MustCompile(`did not exit cleanly.*--force`)},
	{"stale", regexp.MustCompile(`(?s)stale.*--force`)},
	{"another host's", regexp.MustCompile(`(?s)host.*(manually|by hand)`)},
	{"it names nobody", regexp.MustCompile(`Details are unavailable|names nobody`)},
}

// What 3.3.8's mailman start and its master say of a lock that they cannot have, and how
// they end, is what the profile does.
func TestRefusalsOfTheRealMailman(t *testing.T) {
	if _, err := os.Stat(realMailman); err != nil || os.Getenv("SCREWTAPE_LONG") == "" {
		t.Skip("SKIPPED: it wants SCREWTAPE_LONG=1 and what scripts/mailman3-setup puts into " + realMailman)
	}
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(realMailman+"/new")); err != nil {
		t.Fatal(err)
	}
	config := fmt.Sprintf("[mailman]\nlayout: here\nsite_owner: owner@example.org\n[paths.here]\nvar_dir: %s\nbin_dir: %s/root/usr/lib/mailman3/bin\n[mta]\nincoming: mailman.mta.null.NullMTA\n", dir, realMailman)
	if err := os.WriteFile(dir+"/mailman.cfg", []byte(config), 0o666); err != nil {
		t.Fatal(err)
	}
	python := func(args ...string) (status int, says string) {
		cmd := exec.Command("/usr/bin/python3", args...)
		cmd.Env = append(os.Environ(), "PYTHONPATH="+realMailman+"/root/usr/lib/python3/dist-packages", "MAILMAN_CONFIG_FILE="+dir+"/mailman.cfg")
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		return cmd.ProcessState.ExitCode(), string(out)
	}
	_, theirs := python("-c", "import socket; print(socket.getfqdn(), end='')")
	ours, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	alive, dead, later := strconv.Itoa(os.Getpid()), "9999999", time.Now().Add(time.Hour)
	lock := func(host, pid string) {
		claim := dir + "/locks/master.lck|" + host + "|" + pid + "|1"
		content := claim
		if host == "" {
			content = ""
		}
		for _, err := range []error{os.RemoveAll(dir + "/locks"), os.Mkdir(dir+"/locks", 0o770),
			os.WriteFile(claim, []byte(content), 0o660), os.Link(claim, dir+"/locks/master.lck"), os.Chtimes(claim, later, later)} {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	kind := func(says string) string {
		for _, r := range refusals {
			if r.words.MatchString(says) {
				return r.kind
			}
		}
		return strings.TrimSpace(says)
	}
	for _, c := range []struct{ command, holder, want string }{
		{"start", "alive here", "2 another runs"},
		{"start", "dead here", "2 not clean"},
		{"start", "elsewhere", "2 not clean"},
		{"start --force", "alive here", "2 another runs"},
		{"master", "alive here", "1 another runs"},
		{"master", "dead here", "1 stale"},
		{"master", "elsewhere", "1 another host's"},
		{"master", "nobody", "1 it names nobody"},
		{"master --force", "nobody", "1 it names nobody"},
	} {
		hold := func(here string) {
			switch c.holder {
			case "alive here":
				lock(here, alive)
			case "dead here":
				lock(here, dead)
			case "elsewhere":
				lock("elsewhere", alive)
			default:
				lock("", "")
			}
		}
		words := strings.Fields(c.command)
		hold(theirs)
		program := []string{realMailman + "/root/usr/bin/mailman", "--run-as-root", "start"}
		if words[0] == "master" {
			program = []string{realMailman + "/root/usr/lib/mailman3/bin/master"}
		}
		status, says := python(append(program, words[1:]...)...)
		real := fmt.Sprint(status, " ", kind(says))

		hold(ours)
		args := append([]string{"master", "--profile", "3.3.8", "--dir", dir, "--direct=" + strconv.FormatBool(words[0] == "master")}, words[1:]...)
		status, _, says = run(t, append(args, "start")...)
		model := fmt.Sprint(status, " ", kind(says))

		if real != c.want || model != c.want {
			t.Errorf("%s, %s: the real one %q, ours %q, want %q", c.command, c.holder, real, model, c.want)
		}
	}
}
