package webclient

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"longitude/study"
)

// Status is the status of an answer that was refused, found in an error with
// errors.As.
type Status int

func (s Status) Error() string { return fmt.Sprintf("status %d", int(s)) }

var (
	errAddress = &study.Error{Code: "web.address", Op: "the address is none of a server", Exit: study.ExitUsage,
		Hint: "write an address like https://edc.example.org/api"}
	errUser = &study.Error{Code: "web.user_in_address", Op: "the address contains a user or password", Exit: study.ExitUsage,
		Hint: "write the address without them, and the credentials where the connector asks for them"}
	errPlain = &study.Error{Code: "web.plain", Op: "the address is not encrypted", Exit: study.ExitUsage,
		Hint: "write https; a server of your own without TLS has to be listed under allow"}
	errForbidden = &study.Error{Code: "web.address_refused", Op: "the address is inside of a network, not on the Internet", Exit: study.ExitEnvironment,
		Hint: "if it is a server of yours, list its host or network under allow; if a server led there, ask whoever runs that server why"}
	errRedirected = &study.Error{Code: "web.redirected", Op: "the server points to another address",
		Hint: "find out where the server is now and write that address; credentials are not sent to where a server points"}
	errRedirects = &study.Error{Code: "web.redirects", Op: "the server points from address to address without end",
		Hint: "open the address with a browser and write the one where that ends"}
	errUnresolved = &study.Error{Code: "web.unresolved", Op: "the name of the server is not known", Temporary: true, Exit: study.ExitEnvironment,
		Hint: "compare the host in the source with that of the server; else look at the name service of this machine"}
	errUnreachable = &study.Error{Code: "web.unreachable", Op: "the server cannot be reached", Temporary: true, Exit: study.ExitEnvironment,
		Hint: "look whether the server is up and a firewall lets this machine reach it"}
	errBroken = &study.Error{Code: "web.broken", Op: "the connection broke", Temporary: true, Exit: study.ExitEnvironment,
		Hint: "it is tried again; if it keeps happening, ask whoever runs the server or a proxy in front of it"}
	errCertificate = &study.Error{Code: "web.certificate", Op: "the server's certificate is not trusted", Exit: study.ExitEnvironment,
		Hint: "have the server's certificate renewed, or the authority that signed it added to those that this machine trusts (SSL_CERT_FILE)"}
	errTLS = &study.Error{Code: "web.tls", Op: "no encrypted connection could be agreed on", Exit: study.ExitEnvironment,
		Hint: "the server needs TLS 1.2 or later on this port"}
	errDeadline = &study.Error{Code: "web.deadline", Op: "the request took longer than deadline, with all its attempts", Temporary: true, Exit: study.ExitEnvironment,
		Hint: "it is tried again; raise deadline if the server needs longer"}
	errTimeout = &study.Error{Code: "web.timeout", Op: "the server did not answer in time", Temporary: true, Exit: study.ExitEnvironment,
		Hint: "it is tried again; ask for less at once if the server needs longer"}
	errSlow = &study.Error{Code: "web.slow", Op: "the answer came slower than min_rate", Temporary: true, Exit: study.ExitEnvironment,
		Hint: "it is tried again; lower min_rate if the line is that slow"}
	errTruncated = &study.Error{Code: "web.truncated", Op: "the answer broke off or was damaged on its way", Temporary: true, Exit: study.ExitEnvironment,
		Hint: "it is tried again; if it keeps happening, ask whoever runs the server or a proxy in front of it"}
	errTooLarge = &study.Error{Code: "web.too_large", Op: "the answer is larger than max_bytes",
		Hint: "ask for less at once, or raise max_bytes"}
	errBomb = &study.Error{Code: "web.bomb", Op: "the answer is suspiciously much larger unpacked than packed",
		Hint: "ask whoever runs the server; it should send without compression if this is data"}
	errEncoding = &study.Error{Code: "web.encoding", Op: "the answer is packed in a way that nobody asked for",
		Hint: "ask whoever runs the server or a proxy in front of it: gzip was offered"}
	errHTML = &study.Error{Code: "web.html", Op: "the server answered with a page for people instead of data", Temporary: true,
		Hint: "compare the address with the API's; else it is a page of login or maintenance, which a browser shows"}
	errResting = &study.Error{Code: "web.resting", Op: "the server failed several times in a row and is left alone for a while", Temporary: true, RetryAfter: rest, Exit: study.ExitEnvironment,
		Hint: "nothing to do: it is tried again; look at the errors before this one for the reason"}
	errBusy = &study.Error{Code: "web.busy", Op: "the server asks for fewer requests", Temporary: true,
		Hint: "it is tried again; lower per_minute if it keeps happening"}
	errUnauthorized = &study.Error{Code: "web.unauthorized", Op: "the server does not accept the credentials", Exit: study.ExitEnvironment,
		Hint: "compare the credentials with those at the server; nothing is tried again, because that locks accounts"}
	errDenied = &study.Error{Code: "web.forbidden", Op: "the server does not allow this to the account", Exit: study.ExitEnvironment,
		Hint: "have the account granted the right to read this"}
	errMissing = &study.Error{Code: "web.not_found", Op: "the server has nothing at this address",
		Hint: "compare address and study in the source with the server"}
	errServer = &study.Error{Code: "web.server", Op: "the server failed", Temporary: true, Exit: study.ExitEnvironment,
		Hint: "it is tried again; if it keeps happening, ask whoever runs the server"}
	errRefused = &study.Error{Code: "web.refused", Op: "the server refused the request",
		Hint: "compare the request that the source configures with what the server's API documents"}
)

// refusal is what the status of an answer says; nil where it is one that was asked for.
func refusal(r Request, a *Answer, now time.Time) error {
	if r.wants(a.Status) {
		return nil
	}
	told := *statusError(a.Status)
	told.Err = Status(a.Status)
	if told.Temporary {
		told.RetryAfter = RetryAfter(a.Header, now)
	}
	return &told
}

func statusError(status int) *study.Error {
	switch status {
	case http.StatusUnauthorized:
		return errUnauthorized
	case http.StatusForbidden:
		return errDenied
	case http.StatusNotFound, http.StatusGone:
		return errMissing
	case http.StatusTooManyRequests:
		return errBusy
	case http.StatusRequestTimeout:
		return errTimeout
	case http.StatusNotImplemented, http.StatusHTTPVersionNotSupported:
		return errRefused
	}
	switch {
	case status >= 500:
		return errServer
	case redirects(status):
		return errRedirected
	}
	return errRefused
}

// explain turns an error of the transfer, which may quote addresses and what is in
// them, into one that does not.
func explain(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	var ours *study.Error
	var dns *net.DNSError
	var operation *net.OpError
	var certificate *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	var timeout net.Error
	switch {
	case errors.As(err, &ours):
		return ours
	case errors.As(err, &certificate), errors.As(err, new(x509.UnknownAuthorityError)), errors.As(err, new(x509.HostnameError)):
		return errCertificate
	case errors.As(err, &record), strings.Contains(err.Error(), "tls: "): // of most there is no type
		return errTLS
	case errors.As(err, &dns):
		return errUnresolved
	case errors.As(err, &operation) && operation.Op == "dial":
		return errUnreachable
	case errors.As(err, &timeout) && timeout.Timeout():
		return errTimeout
	case errors.Is(err, io.ErrUnexpectedEOF):
		return errTruncated
	}
	return errBroken
}

// outcomeOf is the word of Outcomes for an error of an attempt.
func outcomeOf(err error) string {
	var e *study.Error
	switch {
	case err == nil:
		return "ok"
	case !errors.As(err, &e):
		return "refused"
	}
	switch e.Code {
	case errUnauthorized.Code, errDenied.Code:
		return "unauthorized"
	case errMissing.Code, errRefused.Code, errRedirected.Code:
		return "client_error"
	case errBusy.Code:
		return "busy"
	case errServer.Code:
		return "server_error"
	case errTimeout.Code, errDeadline.Code, errSlow.Code:
		return "timeout"
	case errUnreachable.Code, errUnresolved.Code, errBroken.Code, errTruncated.Code:
		return "unreachable"
	}
	return "refused"
}
