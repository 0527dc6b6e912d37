package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/blindfold-wamp/blindfold/dashboard"
	"github.com/blindfold-wamp/blindfold/internal/cmdline"
	"github.com/blindfold-wamp/blindfold/router"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// maxListed is how many sessions /api/sessions lists at most.
const maxListed = 1000

// maxTrace is how long a trace may take.
const maxTrace = 10 * time.Minute

// sessionList is what /api/sessions answers.
type sessionList struct {
	Sessions []router.SessionInfo `json:"sessions"`
	More     int                  `json:"more"` // how many are not listed
}

// debugHandler serves what an operator asks about single clients:
//
//	/api/sessions           sessions; ?authid=, ?authrole= and ?realm= select
//	/api/sessions/ID        one session, and what it holds
//	/api/refusals           the last refusals and skipped events; selects likewise, and by ?session=
//	/api/trace              envelopes as they come, a JSON object a line; selects likewise; ?for= is how long
//	/api/realms             subscriptions, registrations and calls in flight of each realm
func debugHandler(r *router.Router, tracer *dashboard.Tracer) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/sessions", func(w http.ResponseWriter, q *http.Request) {
		list := sessionList{Sessions: []router.SessionInfo{}}
		authid, role, realm := q.FormValue("authid"), q.FormValue("authrole"), q.FormValue("realm")
		r.EachSession(func(s router.SessionInfo) bool {
			switch {
			case authid != "" && s.AuthID != authid, role != "" && s.AuthRole != role, realm != "" && s.Realm != realm:
			case len(list.Sessions) == maxListed:
				list.More++
			default:
				list.Sessions = append(list.Sessions, s)
			}
			return true
		})
		answerJSON(w, list)
	})
	mux.HandleFunc("GET /api/sessions/{id}", func(w http.ResponseWriter, q *http.Request) {
		id, err := strconv.ParseUint(q.PathValue("id"), 10, 64)
		d, found := r.InspectSession(q.FormValue("realm"), wamp.ID(id))
		if err != nil || !found {
			http.Error(w, "there is no such session on this node", http.StatusNotFound)
			return
		}
		answerJSON(w, d)
	})
	mux.HandleFunc("GET /api/refusals", func(w http.ResponseWriter, q *http.Request) {
		trace, err := traceOf(q)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		answerJSON(w, tracer.Refusals(trace.Selects))
	})
	mux.HandleFunc("GET /api/realms", func(w http.ResponseWriter, _ *http.Request) { answerJSON(w, r.Stats()) })
	mux.HandleFunc("GET /api/trace", func(w http.ResponseWriter, q *http.Request) { serveTrace(w, q, tracer) })
	return mux
}

func answerJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(v)
}

func traceOf(q *http.Request) (*dashboard.Trace, error) {
	t := &dashboard.Trace{AuthID: q.FormValue("authid"), AuthRole: q.FormValue("authrole"), Realm: q.FormValue("realm")}
	if text := q.FormValue("session"); text != "" {
		var err error
		if t.Session, err = strconv.ParseUint(text, 10, 64); err != nil {
			return nil, errors.New("session must be a number")
		}
	}
	return t, nil
}

// serveTrace streams envelopes until the time is over or the reader leaves.
func serveTrace(w http.ResponseWriter, q *http.Request, tracer *dashboard.Tracer) {
	trace, err := traceOf(q)
	limit := time.Minute
	if text := q.FormValue("for"); text != "" && err == nil {
		if limit, err = time.ParseDuration(text); err == nil && (limit <= 0 || limit > maxTrace) {
			err = fmt.Errorf("for must be a duration up to %v", maxTrace)
		}
	}
	if err == nil && trace.AuthID == "" && trace.AuthRole == "" && trace.Session == 0 {
		err = errors.New("name an authid, an authrole or a session")
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if !tracer.Start(trace) {
		http.Error(w, "there are as many traces as there may be: try again later", http.StatusTooManyRequests)
		return
	}
	defer tracer.Stop(trace)
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.Header().Set("Cache-Control", "no-store")
	out, flush := json.NewEncoder(w), http.NewResponseController(w).Flush
	if flush() != nil { // the client knows now that the trace has begun
		return
	}
	end := time.NewTimer(limit)
	defer end.Stop()
	for lost := uint64(0); ; {
		select {
		case e := <-trace.Envelopes:
			if err := out.Encode(e); err != nil {
				return
			}
			if now := trace.Lost(); now > lost {
				_, _ = fmt.Fprintf(w, "{\"left_out\":%d}\n", now-lost)
				lost = now
			}
			if len(trace.Envelopes) == 0 && flush() != nil {
				return
			}
		case <-end.C:
			return
		case <-q.Context().Done():
			return
		}
	}
}

// runReady is the command "blindfold ready", which a container runs as its health check.
func runReady(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("blindfold ready", flag.ContinueOnError)
	base := flags.String("url", "http://127.0.0.1:8082", "")
	if err := cmdline.Parse(flags, args); errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(stdout, "Asks the admin address whether the router accepts sessions.\n\nusage: blindfold ready [--url URL]\n\nexit status: 0 yes, 1 no, 2 the command line is wrong")
		return 0
	} else if err != nil || flags.NArg() > 0 {
		fmt.Fprintln(stderr, "blindfold: the command is: blindfold ready [--url URL]")
		return 2
	}
	hasty := http.Client{Timeout: 5 * time.Second}
	answer, err := hasty.Get(strings.TrimSuffix(*base, "/") + "/readyz")
	if err != nil {
		fmt.Fprintln(stderr, "blindfold: the admin address does not answer")
		return 1
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(answer.Body, 1<<10))
		fmt.Fprintf(stderr, "blindfold: not ready: %s\n", strings.TrimSpace(string(text)))
		return 1
	}
	fmt.Fprintln(stdout, "ready")
	return 0
}

const debugUsage = `Shows what clients of a running router do: sessions, what one of them holds, and
why messages were refused. It asks the admin address.

usage: blindfold debug sessions [--authid ID] [--authrole ROLE] [--realm NAME]
       blindfold debug session ID
       blindfold debug refusals [--authid ID] [--authrole ROLE] [--session ID]
       blindfold debug trace --authid ID | --authrole ROLE | --session ID [--for 60s]

commands:
  sessions   the sessions of this node: who, from where, how, and how many bytes wait
  session    one session, with its subscriptions and registrations
  refusals   the last 256 refusals and skipped events, the newest first
  trace      what a client sends, is refused or does not get, as it happens; never a
             payload

options:
  --url URL      the admin address; default: http://127.0.0.1:8082. It can have a name
                 and a password: https://name:password@host:port
  --json         print JSON, as the admin address answers
  --for TIME     how long to trace, at most 10m; default: 1m
  --help         print this text

exit status:
  0  done
  1  there is no such session
  2  the command line is wrong, or the router does not answer
`

// runDebug is the command "blindfold debug".
func runDebug(args []string, stdout, stderr io.Writer) int {
	command, id := "", ""
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		command, args = args[0], args[1:]
	}
	if command == "session" && len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		id, args = args[0], args[1:]
	}
	flags := flag.NewFlagSet("blindfold debug", flag.ContinueOnError)
	base := flags.String("url", "http://127.0.0.1:8082", "")
	asJSON := flags.Bool("json", false, "")
	query := url.Values{}
	for _, name := range []string{"authid", "authrole", "realm", "session", "for"} {
		flags.Func(name, "", func(v string) error { query.Set(name, v); return nil })
	}
	err := cmdline.Parse(flags, args)
	commands := []string{"sessions", "session", "refusals", "trace"}
	path := "/api/" + command
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(stdout, debugUsage)
		return 0
	case err != nil:
	case flags.NArg() > 0:
		err = fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case command == "session" && id == "":
		err = errors.New("name a session: see blindfold debug sessions")
	case command == "session":
		path = "/api/sessions/" + url.PathEscape(id)
	case command == "":
		err = fmt.Errorf("name a command: %s", strings.Join(commands, ", "))
	case command != "sessions" && command != "refusals" && command != "trace":
		err = fmt.Errorf("no such command: %q%s", command, cmdline.DidYouMean("", command, commands))
	}
	if err != nil {
		fmt.Fprintf(stderr, "blindfold: %v\nsee: blindfold debug --help\n", err)
		return 2
	}
	ctx, cancel := context.WithTimeout(context.Background(), maxTrace+time.Minute)
	defer cancel()
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(*base, "/")+path+"?"+query.Encode(), nil)
	if err != nil {
		fmt.Fprintln(stderr, "blindfold: --url is not a URL")
		return 2
	}
	answer, err := http.DefaultClient.Do(q)
	if err != nil {
		var failed *url.Error // whose text has the URL, and with it a password
		if errors.As(err, &failed) {
			err = failed.Err
		}
		fmt.Fprintf(stderr, "blindfold: the router does not answer: %v\n", err)
		return 2
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(answer.Body, 1<<10))
		fmt.Fprintf(stderr, "blindfold: %s (HTTP status %d)\n", strings.TrimSpace(string(text)), answer.StatusCode)
		if answer.StatusCode == http.StatusNotFound && command == "session" {
			return 1
		}
		return 2
	}
	if *asJSON {
		_, err = io.Copy(stdout, answer.Body)
	} else {
		err = printDebug(command, answer.Body, stdout)
	}
	if err != nil {
		fmt.Fprintf(stderr, "blindfold: %v\n", err)
		return 2
	}
	return 0
}

// printDebug prints an answer for people. Names come from clients, so they are quoted
// where they are not plain.
func printDebug(command string, body io.Reader, stdout io.Writer) error {
	in := json.NewDecoder(body)
	switch command {
	case "sessions":
		var list sessionList
		if err := in.Decode(&list); err != nil {
			return err
		}
		out := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintln(out, "SESSION\tREALM\tAUTHID\tROLE\tMETHOD\tTRANSPORT\tSERIALIZER\tQUEUED\tSUBS\tREGS\tCALLS\tADDRESS")
		for _, s := range list.Sessions {
			fmt.Fprintf(out, "%d\t%s\t%s\t%s\t%s\t%s\t%s\t%d\t%d\t%d\t%d\t%s\n", s.Session, s.Realm, plain(s.AuthID), plain(s.AuthRole), s.AuthMethod,
				s.Transport, s.Serializer, s.Queued, s.Subscriptions, s.Registrations, s.Calls, s.Address)
		}
		if list.More > 0 {
			defer fmt.Fprintf(stdout, "and %d more: select with --authid, --authrole or --realm\n", list.More)
		}
		return out.Flush()
	case "session":
		var d router.SessionDetail
		if err := in.Decode(&d); err != nil {
			return err
		}
		fmt.Fprintf(stdout, "session     %d in %s\nwho         %s, role %s, by %s\nconnection  %s, %s, from %s, agent %s\nqueue       %d bytes\ncalls       waits for %d, has to answer %d\n",
			d.Session, d.Realm, plain(d.AuthID), plain(d.AuthRole), d.AuthMethod, d.Transport, d.Serializer, d.Address, plain(d.Agent), d.Queued, d.Calls, d.Invocations)
		for _, list := range []struct {
			what     string
			patterns []router.Pattern
		}{{"subscribed", d.Subscribed}, {"registered", d.Registered}} {
			for _, p := range list.patterns {
				fmt.Fprintf(stdout, "%s  %s (%s)\n", list.what, plain(p.URI), p.Match)
			}
		}
		return nil
	case "refusals":
		var list []dashboard.Envelope
		if err := in.Decode(&list); err != nil {
			return err
		}
		for i := range list {
			printEnvelope(stdout, &list[i])
		}
		return nil
	}
	for {
		var e struct {
			dashboard.Envelope
			LeftOut uint64 `json:"left_out"`
		}
		switch err := in.Decode(&e); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case e.LeftOut > 0:
			fmt.Fprintf(stdout, "... %d left out\n", e.LeftOut)
		default:
			printEnvelope(stdout, &e.Envelope)
		}
	}
}

func printEnvelope(w io.Writer, e *dashboard.Envelope) {
	payload := "clear"
	if e.Payload.Opaque {
		payload = "opaque"
	}
	fmt.Fprintf(w, "%s  %-8s %-9s %s  from %s (%s, %d, %s)", time.UnixMilli(e.Time).Format("15:04:05.000"), e.Outcome, e.Type, plain(e.URI),
		plain(e.From.AuthID), plain(e.From.AuthRole), e.From.Session, e.From.Serializer)
	if e.To != nil {
		fmt.Fprintf(w, "  to %s (%s, %d, %s)", plain(e.To.AuthID), plain(e.To.AuthRole), e.To.Session, e.To.Serializer)
	}
	fmt.Fprintf(w, "  %s, %d bytes", payload, e.Payload.Size)
	if e.Outcome == "routed" {
		fmt.Fprintf(w, "  to %d", e.Deliveries)
	} else {
		fmt.Fprintf(w, "  %s: %s", e.Reason, e.Text)
	}
	fmt.Fprintln(w)
}

// plain quotes a text from a client if it holds more than letters, digits and punctuation.
func plain(s string) string {
	for _, r := range s {
		if r <= ' ' || r > '~' {
			return strconv.QuoteToASCII(s)
		}
	}
	return s
}
