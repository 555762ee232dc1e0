package rave

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"longitude/internal/webclient"
	"longitude/study"
)

var errKey = &study.Error{Code: "rave.key", Op: "reading the private key of the application", Exit: study.ExitUsage,
	Hint: "it is an RSA key of 2048 bits or more in PEM (PKCS #1 or PKCS #8), without a passphrase"}

// credentials are those of the config: an account, or an application that signs.
func (c Config) credentials(now func() time.Time) webclient.Credentials {
	if c.App == "" {
		return webclient.Signed(func(_ context.Context, r *http.Request, _ []byte) error {
			password, err := c.Password.Reveal()
			if err == nil {
				r.SetBasicAuth(c.User, password)
			}
			return err
		})
	}
	return webclient.Signed(func(_ context.Context, r *http.Request, body []byte) error {
		text, err := c.Key.Reveal()
		if err != nil {
			return err
		}
		key, err := privateKey(text)
		if err != nil {
			return err
		}
		at := strconv.FormatInt(now().Unix(), 10)
		if c.MAuth == 1 {
			return signFirst(r, body, c.App, at, key)
		}
		return signSecond(r, body, c.App, at, key)
	})
}

func privateKey(text string) (*rsa.PrivateKey, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, errKey
	}
	key, err := x509.ParsePKCS1PrivateKey(block.Bytes)
	if err != nil {
		any, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		if err != nil {
			return nil, errKey
		}
		var ok bool
		if key, ok = any.(*rsa.PrivateKey); !ok {
			return nil, errKey
		}
	}
	if key.Size() < 256 {
		return nil, errKey
	}
	return key, nil
}

// signFirst signs as the first version of MAuth has it: the hex digits of a SHA-512
// of verb, path, body, application and time, encrypted with the private key. The
// parameters of a request are not signed.
func signFirst(r *http.Request, body []byte, app, at string, key *rsa.PrivateKey) error {
	sum := sha512.Sum512([]byte(strings.Join([]string{r.Method, r.URL.EscapedPath(), string(body), app, at}, "\n")))
	signature, err := rsa.SignPKCS1v15(nil, key, 0, []byte(hex.EncodeToString(sum[:])))
	if err != nil {
		return errKey
	}
	r.Header.Set("X-MWS-Authentication", "MWS "+app+":"+base64.StdEncoding.EncodeToString(signature))
	r.Header.Set("X-MWS-Time", at)
	return nil
}

// signSecond signs as the second version has it: verb, path, digest of the body,
// application, time and the parameters in order.
func signSecond(r *http.Request, body []byte, app, at string, key *rsa.PrivateKey) error {
	content := sha512.Sum512(body)
	sum := sha512.Sum512([]byte(strings.Join([]string{r.Method, r.URL.EscapedPath(), hex.EncodeToString(content[:]), app, at, parameters(r.URL.Query())}, "\n")))
	signature, err := rsa.SignPKCS1v15(nil, key, crypto.SHA512, sum[:])
	if err != nil {
		return errKey
	}
	r.Header.Set("MCC-Authentication", "MWSV2 "+app+":"+base64.StdEncoding.EncodeToString(signature)+";")
	r.Header.Set("MCC-Time", at)
	return nil
}

// parameters are sorted by name and value, and escaped but for letters, digits and
// - . _ ~.
func parameters(q url.Values) string {
	escape := func(text string) string { return strings.ReplaceAll(url.QueryEscape(text), "+", "%20") }
	var pairs [][2]string
	for name, values := range q {
		for _, value := range values {
			pairs = append(pairs, [2]string{name, value})
		}
	}
	slices.SortFunc(pairs, func(a, b [2]string) int { return strings.Compare(a[0]+"\x00"+a[1], b[0]+"\x00"+b[1]) })
	out := make([]string, len(pairs))
	for i, p := range pairs {
		out[i] = escape(p[0]) + "=" + escape(p[1])
	}
	return strings.Join(out, "&")
}
