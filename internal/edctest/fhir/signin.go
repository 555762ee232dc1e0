package fhir

import (
	"crypto"
	"net/http"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// Client is a client of SMART Backend Services, as registered at the server.
type Client struct {
	ID  string
	Key crypto.PublicKey
	Kid string
}

func (s *Server) configuration() any {
	return map[string]any{"token_endpoint": s.tokenAddress(), "grant_types_supported": []any{"client_credentials"},
		"token_endpoint_auth_methods_supported": []any{"private_key_jwt"}, "token_endpoint_auth_signing_alg_values_supported": []any{"RS384", "ES384"},
		"scopes_supported": []any{"system/*.read", "system/*.rs"}, "capabilities": []any{"client-confidential-asymmetric"}}
}

func (s *Server) tokenAddress() string { return s.base[:len(s.base)-len("/fhir")] + "/auth/token" }

// knows reports whether a request proves who asks.
func (s *Server) knows(r *http.Request) bool {
	if s.refusing {
		return false
	}
	user, password, basic := r.BasicAuth()
	authorization := r.Header.Get("Authorization")
	switch {
	case s.Token == "" && s.User == "" && s.Client == nil:
		return true
	case basic:
		return s.User != "" && user == s.User && password == s.Password
	case len(authorization) > 7 && authorization[:7] == "Bearer ":
		token := authorization[7:]
		return s.Token != "" && token == s.Token || s.tokens[token]
	}
	return false
}

// signIn gives out a token that is good for five minutes at most (SMART App Launch
// 2, Backend Services): the assertion is signed by the client's key, is for this
// address, ends within five minutes and was not used before.
func (s *Server) signIn(r *http.Request) *answer {
	refuse := func(code string) *answer {
		return sayResource(http.StatusBadRequest, map[string]any{"error": code, "error_description": "told by the server"})
	}
	if err := r.ParseForm(); err != nil || r.Method != http.MethodPost || s.Client == nil || s.refusing {
		return refuse("invalid_client")
	}
	if r.PostForm.Get("grant_type") != "client_credentials" {
		return refuse("unsupported_grant_type")
	}
	if r.PostForm.Get("client_assertion_type") != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" || r.PostForm.Get("scope") == "" {
		return refuse("invalid_request")
	}
	token, err := jwt.ParseSigned(r.PostForm.Get("client_assertion"), []jose.SignatureAlgorithm{jose.RS384, jose.ES384})
	if err != nil || len(token.Headers) != 1 || token.Headers[0].KeyID != s.Client.Kid {
		return refuse("invalid_client")
	}
	var claims jwt.Claims
	now := time.Now()
	switch err := token.Claims(s.Client.Key, &claims); {
	case err != nil, claims.Issuer != s.Client.ID, claims.Subject != s.Client.ID, claims.Expiry == nil, claims.ID == "", s.jtis[claims.ID],
		!slices.Contains(claims.Audience, s.tokenAddress()), claims.Expiry.Time().Before(now), claims.Expiry.Time().After(now.Add(5*time.Minute + time.Second)):
		return refuse("invalid_client")
	}
	s.jtis[claims.ID] = true
	given := s.number("token")
	s.tokens[given] = true
	a := sayResource(http.StatusOK, map[string]any{"access_token": given, "token_type": "bearer", "expires_in": 300, "scope": r.PostForm.Get("scope")})
	a.header.Set("Content-Type", "application/json")
	return a
}
