package rest

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"longitude/connectors"
	"longitude/internal/webclient"
)

// credentials are how the account proves itself; nil = it does not.
func (s *source) credentials() webclient.Credentials {
	a := s.config.Auth
	switch a.Kind {
	case "bearer":
		return with(a.Token, func(r *http.Request, token string) { r.Header.Set("Authorization", "Bearer "+token) })
	case "basic":
		return with(a.Password, func(r *http.Request, password string) { r.SetBasicAuth(a.User, password) })
	case "api_key":
		return with(a.Key, func(r *http.Request, key string) {
			if a.In == "header" {
				r.Header.Set(a.Name, a.Prefix+key)
				return
			}
			query := r.URL.Query()
			query.Set(a.Name, a.Prefix+key)
			r.URL.RawQuery = query.Encode()
		})
	case "oauth2":
		return &webclient.Token{Now: s.rt.Now, Fetch: s.fetchToken}
	case "hmac":
		return webclient.Signed(func(_ context.Context, r *http.Request, body []byte) error { return a.sign(r, body, s.rt.Now()) })
	}
	return nil
}

// with puts a secret on a request, read when it is needed.
func with(secret connectors.Secret, put func(*http.Request, string)) webclient.Credentials {
	return webclient.Signed(func(_ context.Context, r *http.Request, _ []byte) error {
		text, err := secret.Reveal()
		if err == nil {
			put(r, text)
		}
		return err
	})
}

// fetchToken signs in with OAuth 2 client credentials (RFC 6749 4.4). Some servers
// want them as JSON.
func (s *source) fetchToken(ctx context.Context) (string, time.Duration, error) {
	a := s.config.Auth
	id, err := a.ClientID.Reveal()
	if err != nil {
		return "", 0, err
	}
	secret, err := a.Secret.Reveal()
	if err != nil {
		return "", 0, err
	}
	fields := map[string]string{"grant_type": "client_credentials"}
	if a.Scope != "" {
		fields["scope"] = a.Scope
	}
	request := webclient.Request{Op: "sign in", Method: http.MethodPost, URL: s.resolve(a.TokenURL), Header: http.Header{"Accept": {"application/json"}}}
	if a.Send == "basic" {
		request.As = webclient.Signed(func(_ context.Context, r *http.Request, _ []byte) error {
			r.SetBasicAuth(url.QueryEscape(id), url.QueryEscape(secret))
			return nil
		})
	} else {
		fields["client_id"], fields["client_secret"] = id, secret
	}
	if a.Send == "json" {
		request.Header.Set("Content-Type", "application/json")
		request.Body, _ = json.Marshal(fields) // texts always are
	} else {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		form := url.Values{}
		for name, value := range fields {
			form.Set(name, value)
		}
		request.Body = []byte(form.Encode())
	}
	answer, err := s.client.Read(ctx, request)
	if err != nil {
		return "", 0, err
	}
	token := document(answer.Body).value("/access_token")
	if token == "" {
		return "", 0, errToken
	}
	seconds, _ := strconv.ParseFloat(document(answer.Body).value("/expires_in"), 64)
	return token, time.Duration(max(0, min(seconds, 1e9)) * float64(time.Second)), nil
}

// sign puts an HMAC-SHA-256 on a request, of the text that the configuration
// composes.
func (a Auth) sign(r *http.Request, body []byte, now time.Time) error {
	key, err := a.Key.Reveal()
	if err != nil {
		return err
	}
	clock := writeTime(a.Clock, now)
	sum := sha256.Sum256(body)
	text := strings.NewReplacer(`\n`, "\n", "{method}", r.Method, "{path}", orElse(r.URL.EscapedPath(), "/"), "{query}", r.URL.RawQuery,
		"{time}", clock, "{body}", string(body), "{body_sha256}", hex.EncodeToString(sum[:])).Replace(a.Sign)
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(text))
	signature := hex.EncodeToString(mac.Sum(nil))
	if a.Encoding == "base64" {
		signature = base64.StdEncoding.EncodeToString(mac.Sum(nil))
	}
	if a.Time != "" {
		r.Header.Set(a.Time, clock)
	}
	r.Header.Set(a.Name, a.Prefix+signature)
	return nil
}

// writeTime writes an instant as an API wants it.
func writeTime(layout string, t time.Time) string {
	switch layout {
	case "unix":
		return strconv.FormatInt(t.Unix(), 10)
	case "unix_ms":
		return strconv.FormatInt(t.UnixMilli(), 10)
	}
	return t.UTC().Format(goLayout(layout))
}

// readTime reads what an API wrote; a time without a zone stays what it says.
func readTime(layout, text string) (time.Time, error) {
	if layout == "unix" || layout == "unix_ms" {
		n, err := strconv.ParseFloat(text, 64)
		switch {
		case err != nil || n < 0 || n > 1e14:
			return time.Time{}, errTime
		case layout == "unix_ms":
			return time.UnixMilli(int64(n)), nil
		}
		return time.UnixMilli(int64(n * 1000)), nil
	}
	t, err := time.Parse(goLayout(layout), text)
	if err != nil {
		return time.Time{}, errTime // the parser quotes what it read
	}
	return t.UTC(), nil
}

func goLayout(layout string) string {
	switch layout {
	case "", "rfc3339":
		return time.RFC3339Nano
	case "date":
		return time.DateOnly
	}
	return layout
}
