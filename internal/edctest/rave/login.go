package rave

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// admits reports whether a request shows who it is from, by a password or by a
// signature; else it is answered.
func (s *Server) admits(w http.ResponseWriter, r *http.Request) bool {
	user, password, basic := r.BasicAuth()
	switch signed := r.Header.Get("X-MWS-Authentication") != "" || r.Header.Get("MCC-Authentication") != ""; {
	case signed && s.signature(r), basic && password != "" && s.users[user] == password:
		return true
	case !basic && !signed:
		s.send(w, answer{status: http.StatusUnauthorized, kind: "text/plain", body: []byte("Authorization Header not provided")}, NoFault)
	default:
		s.send(w, answer{status: http.StatusUnauthorized, kind: xmlKind, body: fmt.Appendf(nil,
			`<?xml version="1.0" encoding="utf-8"?><ODM FileType="Snapshot" FileOID="%08x-0000-4000-8000-000000000004" CreationDateTime="%s" mdsol:ErrorDescription="Incorrect login and password combination. [RWS00008]" %s/>`,
			s.requests, s.Now().Format(stamp), spaces)}, NoFault)
	}
	return false
}

// tolerance is how far the clock of who signs may be off.
const tolerance = 5 * time.Minute

// signature checks the signature of a request, of the second version of MAuth or of
// the first.
func (s *Server) signature(r *http.Request) bool {
	if text, ok := strings.CutPrefix(r.Header.Get("MCC-Authentication"), "MWSV2 "); ok {
		key, signature := s.signer(strings.TrimSuffix(text, ";"), r.Header.Get("MCC-Time"))
		app, _, _ := strings.Cut(text, ":")
		empty := sha512.Sum512(nil)
		sum := sha512.Sum512([]byte(strings.Join([]string{r.Method, r.URL.EscapedPath(), hex.EncodeToString(empty[:]), app, r.Header.Get("MCC-Time"), sorted(r.URL.Query())}, "\n")))
		return key != nil && rsa.VerifyPKCS1v15(key, crypto.SHA512, sum[:], signature) == nil
	}
	text, ok := strings.CutPrefix(r.Header.Get("X-MWS-Authentication"), "MWS ")
	if !ok {
		return false
	}
	key, signature := s.signer(text, r.Header.Get("X-MWS-Time"))
	app, _, _ := strings.Cut(text, ":")
	sum := sha512.Sum512([]byte(strings.Join([]string{r.Method, r.URL.EscapedPath(), "", app, r.Header.Get("X-MWS-Time")}, "\n")))
	return key != nil && rsa.VerifyPKCS1v15(key, 0, []byte(hex.EncodeToString(sum[:])), signature) == nil
}

// signer is whose signature it says to be; nil where that is nobody, or the time is
// another.
func (s *Server) signer(text, at string) (*rsa.PublicKey, []byte) {
	app, encoded, _ := strings.Cut(text, ":")
	seconds, err := strconv.ParseInt(at, 10, 64)
	signature, bad := base64.StdEncoding.DecodeString(encoded)
	if off := s.Now().Sub(time.Unix(seconds, 0)).Abs(); err != nil || bad != nil || off > tolerance {
		return nil, nil
	}
	return s.apps[app], signature
}

// sorted writes parameters by name, then by value.
func sorted(q url.Values) string {
	var pairs []string
	for name, values := range q {
		for _, value := range values {
			pairs = append(pairs, percent(name)+"="+percent(value))
		}
	}
	slices.Sort(pairs)
	return strings.Join(pairs, "&")
}

// percent escapes everything but letters, digits and - . _ ~ (RFC 3986).
func percent(text string) string { return strings.ReplaceAll(url.QueryEscape(text), "+", "%20") }
