package results

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"screwtape/harness/check"
)

// Handler serves the runs below a root, for a browser:
//
//	/                            all runs, newest first; ?test=, ?verdict= and ?anomaly= filter
//	/trends?test=TEST            the runs of one test over time
//	/run/TEST/RUN/               one run
//	/run/TEST/RUN/progress       how far it has come, as JSON
//	/run/TEST/RUN/files/PATH     one of its files
//	/zip/TEST/RUN.zip            all of its files
//
// It only ever reads, and nothing outside the root: a symbolic link that leads
// out of it is refused. Whatever the files hold, a browser runs nothing but
// the scripts of report.html and of porcupine's picture.
func Handler(root string) http.Handler {
	s := &server{root: root}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.runs)
	mux.HandleFunc("GET /style.css", static("style.css", "text/css; charset=utf-8"))
	mux.HandleFunc("GET /live.js", static("live.js", "text/javascript; charset=utf-8"))
	mux.HandleFunc("GET /trends", s.trends)
	mux.HandleFunc("GET /run/{test}/{run}/{$}", s.run)
	mux.HandleFunc("GET /run/{test}/{run}/progress", s.progress)
	mux.HandleFunc("GET /run/{test}/{run}/files/{file...}", s.file)
	mux.HandleFunc("GET /zip/{test}/{run}", s.zip)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			h.Set("Allow", "GET, HEAD")
			http.Error(w, "only GET and HEAD", http.StatusMethodNotAllowed)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

type server struct{ root string }

// maxRuns bounds the runs on one page.
const maxRuns = 1000

// filters are what the list of runs can be narrowed to.
type filters struct {
	Test, Verdict, Anomaly string
}

func (f filters) take(r *Run) bool {
	verdict := "unfinished"
	if r.Running {
		verdict = "running"
	}
	var kinds []string
	if r.Report != nil {
		verdict, kinds = string(r.Report.Verdict), r.Report.Kinds()
	}
	return (f.Test == "" || f.Test == r.Test.Name) &&
		(f.Verdict == "" || f.Verdict == verdict) &&
		(f.Anomaly == "" || slices.Contains(kinds, f.Anomaly))
}

func (s *server) runs(w http.ResponseWriter, r *http.Request) {
	all, err := s.list()
	if err != nil {
		fail(w, err)
		return
	}
	query := r.URL.Query()
	f := filters{query.Get("test"), query.Get("verdict"), query.Get("anomaly")}
	tests, kinds := map[string]bool{}, map[string]bool{}
	var picked []*Run
	live := false
	for _, run := range all {
		tests[run.Test.Name] = true
		if run.Report != nil {
			for _, kind := range run.Report.Kinds() {
				kinds[kind] = true
			}
		}
		if f.take(run) {
			picked = append(picked, run)
			live = live || run.Running
		}
	}
	delete(tests, "")
	more := max(0, len(picked)-maxRuns)
	if live {
		allowLive(w)
	}
	show(w, "runs", struct {
		Head head
		filters
		Tests, Verdicts, Kinds []string
		Runs                   []*Run
		More                   int
	}{
		head{"Runs", live}, f, slices.Sorted(maps.Keys(tests)),
		[]string{string(check.Valid), string(check.Invalid), string(check.Unknown), "running", "unfinished"},
		slices.SortedFunc(maps.Keys(kinds), check.CompareKinds), picked[:len(picked)-more], more,
	})
}

// list is List with directories relative to the root.
func (s *server) list() ([]*Run, error) {
	root, err := os.OpenRoot(s.root)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer root.Close()
	return list(root.FS())
}

func (s *server) run(w http.ResponseWriter, r *http.Request) {
	s.open(w, r.PathValue("test"), r.PathValue("run"), func(root *os.Root, dir string) error {
		run := read(root.FS(), dir)
		files, err := filesOf(root, dir)
		if err != nil {
			return err
		}
		if run.Running {
			allowLive(w)
		}
		show(w, "run", struct {
			Head  head
			Run   *Run
			Files []string
		}{head{dir, run.Running}, run, files})
		return nil
	})
}

// findingPage is the page of a finding or a claim, where it is among the files of
// a run, or "".
func findingPage(files []string, name string) string {
	page := path.Join("findings", name, "report.html")
	if !slices.Contains(files, page) {
		return ""
	}
	return page
}

// A folder is files of a run that lie below one directory of it, or, where Dir
// is "", in the run's directory itself.
type folder struct {
	Dir   string
	Files []string
}

// below sorts files by the first directory in which they lie; those that lie in
// none come first.
func below(files []string) []folder {
	list := []folder{{}}
	for _, file := range files {
		dir, _, ok := strings.Cut(file, "/")
		if !ok {
			list[0].Files = append(list[0].Files, file)
			continue
		}
		if list[len(list)-1].Dir != dir {
			list = append(list, folder{Dir: dir})
		}
		last := &list[len(list)-1]
		last.Files = append(last.Files, file)
	}
	return list
}

// A head is what the head of a page depends on.
type head struct {
	Title string
	Live  bool // it shows a run that is going on
}

// allowLive lets the page run the script that follows a run which is going on.
func allowLive(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Content-Security-Policy", h.Get("Content-Security-Policy")+"; script-src 'self'; connect-src 'self'")
}

// progress says in words how far a run has come, for live.js.
func (s *server) progress(w http.ResponseWriter, r *http.Request) {
	s.open(w, r.PathValue("test"), r.PathValue("run"), func(root *os.Root, dir string) error {
		run := read(root.FS(), dir)
		w.Header().Set("Content-Type", "application/json")
		return json.NewEncoder(w).Encode(map[string]any{"running": run.Running, "text": run.State()})
	})
}

// State says in words how far the run has come.
func (r *Run) State() string {
	text := ""
	switch {
	case r.Problem != "":
		return "damaged"
	case r.Report != nil:
		return sign(r.Report.Verdict)
	case r.Running:
		text = "… running"
	default:
		text = "unfinished: stopped in phase " + string(r.Phase)
	}
	if r.Progress != nil {
		text += ": " + r.Progress.String()
	}
	return text
}

func (s *server) file(w http.ResponseWriter, r *http.Request) {
	s.open(w, r.PathValue("test"), r.PathValue("run"), func(root *os.Root, dir string) error {
		name := r.PathValue("file")
		if !filepath.IsLocal(name) || path.Clean(name) != name {
			return fs.ErrNotExist
		}
		f, info, err := openRegular(root, path.Join(dir, name))
		if err != nil {
			return err
		}
		defer f.Close()
		h := w.Header()
		switch {
		case path.Base(name) == "report.html":
			pageHeaders(h, reportPolicy())
		case path.Base(name) == PictureFile:
			pageHeaders(h, picturePolicy())
		case path.Ext(name) == ".json":
			h.Set("Content-Type", "application/json")
		default:
			h.Set("Content-Type", "text/plain; charset=utf-8")
		}
		http.ServeContent(w, r, "", info.ModTime(), f)
		return nil
	})
}

// pageHeaders sets the headers of a page that has a script. Its own policy holds as
// well. In a sandbox it is of no origin, and can do nothing to this server.
func pageHeaders(h http.Header, policy string) {
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", policy+"; frame-ancestors 'none'; sandbox allow-scripts")
}

func (s *server) zip(w http.ResponseWriter, r *http.Request) {
	name, ok := strings.CutSuffix(r.PathValue("run"), ".zip")
	if !ok {
		http.NotFound(w, r)
		return
	}
	s.open(w, r.PathValue("test"), name, func(root *os.Root, dir string) error {
		files, err := filesOf(root, dir)
		if err != nil {
			return err
		}
		w.Header().Set("Content-Type", "application/zip")
		w.Header().Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q", strings.ReplaceAll(dir, "/", "-")+".zip"))
		z := zip.NewWriter(w)
		for _, file := range files {
			if err := addFile(z, root, dir, file); err != nil {
				// Half of it is sent: break the connection off, so that the
				// browser does not take it for the whole.
				panic(http.ErrAbortHandler)
			}
		}
		return z.Close()
	})
}

func addFile(z *zip.Writer, root *os.Root, dir, file string) error {
	f, info, err := openRegular(root, path.Join(dir, file))
	if err != nil {
		return err
	}
	defer f.Close()
	header, err := zip.FileInfoHeader(info)
	if err != nil {
		return err
	}
	header.Name, header.Method = path.Join(path.Base(dir), file), zip.Deflate
	w, err := z.CreateHeader(header)
	if err != nil {
		return err
	}
	_, err = io.Copy(w, f)
	return err
}

// open calls do with a run's directory, relative to the root, and answers with
// the error that do returns. It takes only what List would show.
func (s *server) open(w http.ResponseWriter, test, base string, do func(root *os.Root, dir string) error) {
	_, _, ok := parseBase(base)
	if !ok || test != dirName(test) {
		fail(w, fs.ErrNotExist)
		return
	}
	root, err := os.OpenRoot(s.root)
	if err != nil {
		fail(w, err)
		return
	}
	defer root.Close()
	if err := do(root, path.Join(test, base)); err != nil {
		fail(w, err)
	}
}

// openRegular opens a regular file; links are followed within the root. A
// named pipe would block for ever, and so is not even opened.
func openRegular(root *os.Root, name string) (*os.File, fs.FileInfo, error) {
	info, err := root.Stat(name)
	if err == nil && !info.Mode().IsRegular() {
		err = fs.ErrNotExist
	}
	if err != nil {
		return nil, nil, err
	}
	f, err := root.Open(name)
	return f, info, err
}

// filesOf lists the regular files below a directory, sorted.
func filesOf(root *os.Root, dir string) ([]string, error) {
	var files []string
	err := fs.WalkDir(root.FS(), dir, func(p string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			files = append(files, strings.TrimPrefix(p, dir+"/"))
		}
		return err
	})
	return files, err
}

// static answers with an asset.
func static(name, kind string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", kind)
		io.WriteString(w, asset(name))
	}
}

// show answers with a template, or with an error and no half of a page.
func show(w http.ResponseWriter, name string, data any) {
	var b bytes.Buffer
	if err := templates().ExecuteTemplate(&b, name, data); err != nil {
		fail(w, err)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Write(b.Bytes())
}

// fail answers with an error. What is not there and what may not be seen look
// alike.
func fail(w http.ResponseWriter, err error) {
	var pathError *fs.PathError
	if errors.Is(err, fs.ErrNotExist) || errors.As(err, &pathError) {
		http.Error(w, "no such run or file", http.StatusNotFound)
		return
	}
	http.Error(w, err.Error(), http.StatusInternalServerError)
}
