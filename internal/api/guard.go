package api

import (
	"crypto/sha256"
	"crypto/subtle"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"longitude/study"
)

// CheckListen refuses to serve other machines without a token. address is
// host:port; only loopback addresses count as this machine.
func CheckListen(address, token string) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return &study.Error{Code: "api.listen_invalid", Op: "reading the listening address of the service",
			Hint: "Write host:port, such as 127.0.0.1:8080.", Exit: study.ExitUsage}
	}
	if token == "" && !loopback(host) {
		return &study.Error{Code: "api.open_listen", Op: "listening on " + address + " without an access token",
			Hint: "Listen on 127.0.0.1, or set a token.", Exit: study.ExitBlocked}
	}
	return nil
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && a.IsLoopback()
}

const (
	// No script, nothing from elsewhere, in no frame.
	contentSecurityPolicy = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
	maxBody               = 1 << 20
)

// guard lets a request through to next when its caller may ask. With a token
// every request must show it. Without one only this machine may call, and must
// have meant to: the Host check defeats names that were re-pointed at loopback
// to reach us through a browser.
func guard(o Options, next http.Handler) http.Handler {
	token, want := o.Token, sha256.Sum256([]byte(o.Token))
	deny := func(w http.ResponseWriter, p *Problem) {
		if o.Denied != nil {
			o.Denied(p.Code)
		}
		writeProblem(w, p)
	}
	sameOrigin := http.NewCrossOriginProtection()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for name, value := range map[string]string{
			"Content-Security-Policy":    contentSecurityPolicy,
			"X-Content-Type-Options":     "nosniff",
			"X-Frame-Options":            "DENY",
			"Referrer-Policy":            "same-origin",
			"Cross-Origin-Opener-Policy": "same-origin",
			"Cache-Control":              "no-store",
		} {
			w.Header().Set(name, value)
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		switch {
		case token == "" && !loopback(hostname(r.Host)):
			deny(w, newProblem(http.StatusForbidden, "api.host_refused", "the service was called by a name that is not this machine's",
				"Call it as localhost, or set a token."))
		case token != "" && !shows(r, want):
			w.Header().Add("WWW-Authenticate", `Bearer realm="Longitude"`)
			if !underAPI(r) {
				w.Header().Add("WWW-Authenticate", `Basic realm="Longitude: the token is the password"`)
			}
			deny(w, newProblem(http.StatusUnauthorized, "api.unauthorized", "the request shows no valid token",
				"Send it as Authorization: Bearer TOKEN."))
		case sameOrigin.Check(r) != nil:
			deny(w, newProblem(http.StatusForbidden, "api.cross_origin", "the request comes from another site's page",
				"Press the button on the status page itself."))
		case !acceptable(r):
			writeProblem(w, newProblem(http.StatusUnsupportedMediaType, "api.content_type", "the request's content type is not accepted here",
				"Send Content-Type: application/json."))
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// hostname is host without its port.
func hostname(host string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		return h
	}
	return host
}

func underAPI(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/api/") }

// shows compares digests, so that neither content nor length of the token can
// be timed. Pages also take it as a password, which a browser can ask for.
func shows(r *http.Request, want [sha256.Size]byte) bool {
	shown, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok && !underAPI(r) {
		_, shown, ok = r.BasicAuth()
	}
	got := sha256.Sum256([]byte(shown))
	return ok && subtle.ConstantTimeCompare(got[:], want[:]) == 1
}

// acceptable wants a content type on whatever changes something: JSON for the
// API, a form for the pages. A foreign page can send JSON only after a preflight.
func acceptable(r *http.Request) bool {
	if r.Method == http.MethodGet || r.Method == http.MethodHead || r.Method == http.MethodOptions {
		return true
	}
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return err == nil && (kind == "application/json" || kind == "application/x-www-form-urlencoded")
}
