package openclinica

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"

	"longitude/internal/webclient"
)

// cookie is the one that a session is known by.
const cookie = "JSESSIONID"

// sign puts on a request the session of version 3, after logging in where there is
// none.
func (s *source) sign(ctx context.Context, r *http.Request, _ []byte) (err error) {
	if s.session == "" {
		if s.session, err = s.logIn(ctx); err != nil {
			return err
		}
	}
	r.AddCookie(&http.Cookie{Name: cookie, Value: s.session})
	return nil
}

// logIn fills in the form of login as a browser would, once: a login that is refused
// again and again locks the account.
func (s *source) logIn(ctx context.Context) (session string, err error) {
	password, err := s.config.Password.Reveal()
	if err != nil {
		return "", err
	}
	page, err := s.web.Read(ctx, webclient.Request{Op: "opening the page of login", URL: s.config.below(s.config.Login), Header: header(), HTML: true})
	if err != nil {
		return "", err
	}
	session = sessionOf(page.Header)
	head := header()
	head.Set("Content-Type", "application/x-www-form-urlencoded")
	if session != "" {
		head.Set("Cookie", cookie+"="+session)
	}
	form := url.Values{"j_username": {s.config.User}, "j_password": {password}}
	a, err := s.web.Read(ctx, webclient.Request{Op: "logging in", Method: http.MethodPost, URL: s.config.below("j_spring_security_check"),
		Header: head, Body: []byte(form.Encode()), HTML: true, Answers: []int{http.StatusFound}, Judge: judgeLogin})
	if err != nil {
		return "", err
	}
	if given := sessionOf(a.Header); given != "" { // a new one for who is known now
		session = given
	}
	if session == "" {
		return "", errSession
	}
	return session, nil
}

// judgeLogin finds a login that was refused: it leads back to the form.
func judgeLogin(status int, header http.Header, body []byte) error {
	switch {
	case status == http.StatusFound && strings.Contains(strings.ToLower(header.Get("Location")), "login"),
		status == http.StatusUnauthorized, status == http.StatusForbidden, isLogin(body):
		return errLogin
	case status < http.StatusMultipleChoices && isPage(header, bytes.TrimSpace(body)):
		return errPage
	}
	return nil
}

// sessionOf is the session that an answer gives; "" if none.
func sessionOf(h http.Header) string {
	for _, c := range (&http.Response{Header: h}).Cookies() {
		if c.Name == cookie {
			return c.Value
		}
	}
	return ""
}

// token asks for a token of version 4, which is the answer as it is.
func (s *source) token(ctx context.Context) (string, time.Duration, error) {
	password, err := s.config.Password.Reveal()
	if err != nil {
		return "", 0, err
	}
	body, _ := json.Marshal(map[string]string{"username": s.config.User, "password": password}) // texts can always be written
	a, err := s.web.Read(ctx, webclient.Request{Op: "asking for a token", Method: http.MethodPost, URL: s.config.TokenURL,
		Header: http.Header{"Content-Type": {"application/json"}}, Body: body,
		Judge: func(status int, _ http.Header, _ []byte) error {
			if status == http.StatusUnauthorized {
				return errLogin
			}
			return nil
		}})
	if err != nil {
		return "", 0, err
	}
	text := strings.Trim(strings.TrimSpace(string(a.Body)), `"`)
	if text == "" || len(text) > 16<<10 || strings.ContainsFunc(text, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return "", 0, errToken
	}
	return text, 0, nil
}
