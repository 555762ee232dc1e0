package fhir

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"longitude/internal/webclient"
	"longitude/study"
)

// credentials are how the account proves itself; nil = it does not.
func (s *source) credentials() webclient.Credentials {
	a := s.config.Auth
	switch a.Kind {
	case bearer:
		return webclient.Signed(func(_ context.Context, r *http.Request, _ []byte) error {
			token, err := a.Token.Reveal()
			r.Header.Set("Authorization", "Bearer "+token)
			return err
		})
	case basic:
		return webclient.Signed(func(_ context.Context, r *http.Request, _ []byte) error {
			password, err := a.Password.Reveal()
			r.SetBasicAuth(a.User, password)
			return err
		})
	case backend:
		return &webclient.Token{Now: s.rt.Now, Fetch: s.signIn}
	}
	return nil
}

// assertionLife is for how long an assertion is good: five minutes is the most
// (SMART App Launch 2, Backend Services).
const assertionLife = 4 * time.Minute

// signIn asks for a token by an assertion that the account's private key signs.
func (s *source) signIn(ctx context.Context) (token string, valid time.Duration, err error) {
	at, err := s.tokenURL(ctx)
	if err != nil {
		return "", 0, err
	}
	// Each attempt has an assertion of its own: servers take none twice.
	var body []byte
	for tries := 0; ; tries++ {
		assertion, aerr := s.assertion(at)
		if aerr != nil {
			return "", 0, aerr
		}
		form := url.Values{"grant_type": {"client_credentials"}, "scope": {s.config.Auth.Scope},
			"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}, "client_assertion": {assertion}}
		answer, rerr := s.web.Read(ctx, webclient.Request{Op: "sign in", Method: http.MethodPost, URL: at, Once: true, Answers: []int{http.StatusBadRequest},
			Header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "Accept": {"application/json"}}, Body: []byte(form.Encode())})
		if rerr == nil {
			body = answer.Body
			break
		}
		if tries == signIns || !study.IsTemporary(rerr) || s.rt.Sleep(ctx, time.Second) != nil {
			return "", 0, rerr
		}
	}
	var given struct {
		Token   string  `json:"access_token"`
		Seconds float64 `json:"expires_in"`
	}
	if json.Unmarshal(body, &given) != nil || given.Token == "" {
		return "", 0, errToken
	}
	return given.Token, time.Duration(max(0, min(given.Seconds, 1e6)) * float64(time.Second)), nil
}

// signIns is how often signing in is tried again.
const signIns = 2

// tokenURL is where tokens are given out, by the configuration or by the server.
func (s *source) tokenURL(ctx context.Context) (string, error) {
	if s.config.Auth.TokenURL != "" {
		return s.config.Auth.TokenURL, nil
	}
	answer, err := s.web.Read(ctx, webclient.Request{Op: "find out where to sign in", URL: s.base + "/.well-known/smart-configuration",
		Header: http.Header{"Accept": {"application/json"}}})
	if err != nil {
		return "", err
	}
	var told struct {
		Endpoint string `json:"token_endpoint"`
	}
	if json.Unmarshal(answer.Body, &told) != nil || told.Endpoint == "" {
		return "", errTokenURL
	}
	if at, _, err := s.follow(told.Endpoint); err == nil {
		return at, nil
	}
	return "", errTokenURL
}

// assertion is a JWT that says who asks for a token where, once.
func (s *source) assertion(audience string) (string, error) {
	text, err := s.config.Auth.Key.Reveal()
	if err != nil {
		return "", err
	}
	key, kid, err := privateKey(text)
	if err != nil {
		return "", err
	}
	if s.config.Auth.KeyID != "" {
		kid = s.config.Auth.KeyID
	}
	algorithm := jose.RS384
	if _, ok := key.(*ecdsa.PrivateKey); ok {
		algorithm = jose.ES384
	}
	options := (&jose.SignerOptions{}).WithType("JWT")
	if kid != "" {
		options = options.WithHeader("kid", kid)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: key}, options)
	if err != nil {
		return "", errKey
	}
	now, id := s.rt.Now(), s.config.Auth.ClientID
	signed, err := jwt.Signed(signer).Claims(jwt.Claims{Issuer: id, Subject: id, Audience: jwt.Audience{audience}, ID: rand.Text(),
		Expiry: jwt.NewNumericDate(now.Add(assertionLife)), IssuedAt: jwt.NewNumericDate(now)}).Serialize()
	if err != nil {
		return "", errKey
	}
	return signed, nil
}

// privateKey reads a key in PEM or as JWK, whose kid it returns.
func privateKey(text string) (key crypto.Signer, kid string, err error) {
	if strings.HasPrefix(strings.TrimSpace(text), "{") {
		var k jose.JSONWebKey
		if k.UnmarshalJSON([]byte(text)) != nil {
			return nil, "", errKey
		}
		key, _ = k.Key.(crypto.Signer)
		kid = k.KeyID
	} else if block, _ := pem.Decode([]byte(text)); block != nil {
		key = parsed(block.Bytes)
	}
	switch k := key.(type) {
	case *rsa.PrivateKey:
		if k.N.BitLen() >= 2048 {
			return k, kid, nil
		}
	case *ecdsa.PrivateKey:
		if k.Curve == elliptic.P384() {
			return k, kid, nil
		}
	}
	return nil, "", errKey
}

// parsed is a key in one of the three forms that PEM files have; nil if in none.
func parsed(der []byte) crypto.Signer {
	if k, err := x509.ParsePKCS8PrivateKey(der); err == nil {
		signer, _ := k.(crypto.Signer)
		return signer
	}
	if k, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return k
	}
	if k, err := x509.ParseECPrivateKey(der); err == nil {
		return k
	}
	return nil
}
