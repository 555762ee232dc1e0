package keys

import (
	"context"
	"errors"
	"hash/crc32"
	"regexp"
	"strings"
	"time"

	kms "cloud.google.com/go/kms/apiv1"
	"cloud.google.com/go/kms/apiv1/kmspb"
	"github.com/googleapis/gax-go/v2"
	"google.golang.org/api/option"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"longitude/study"
)

// cloudKEK is a symmetric key of Google Cloud KMS. It never leaves KMS; whoever
// may use it, and when it was used, is told by KMS's own access rules and log.
type cloudKEK struct {
	client *kms.KeyManagementClient
	key    string // projects/…/cryptoKeys/…
}

const kmsScheme = "gcp-kms://"

var cryptoKey = regexp.MustCompile(`^projects/[^/]+/locations/[^/]+/keyRings/[^/]+/cryptoKeys/[^/]+$`)

// IsKMS reports whether a location names a key of Cloud KMS.
func IsKMS(location string) bool { return strings.HasPrefix(location, kmsScheme) }

// DialKMS connects to the KEK at gcp-kms://projects/P/locations/L/keyRings/R/cryptoKeys/K
// with the credentials of the environment.
func DialKMS(ctx context.Context, location string, options ...option.ClientOption) (KEK, error) {
	key, ok := strings.CutPrefix(location, kmsScheme)
	if !ok || !cryptoKey.MatchString(key) {
		return nil, badProvider()
	}
	client, err := kms.NewKeyManagementClient(ctx, options...)
	if err != nil { // its text may tell of credentials
		return nil, kmsError("keys.kms_credentials", "reach Cloud KMS: no usable credentials", "run where a service account is attached, or set GOOGLE_APPLICATION_CREDENTIALS", false)
	}
	return &cloudKEK{client, key}, nil
}

// ID implements KEK.
func (k *cloudKEK) ID() string { return kmsScheme + k.key }

// Close ends the connection.
func (k *cloudKEK) Close() error { return k.client.Close() }

// retries are tried while the context lasts: wrapping changes nothing, so that it
// may always be done again.
func retries() gax.CallOption {
	return gax.WithRetry(func() gax.Retryer {
		return gax.OnCodes([]codes.Code{codes.Unavailable, codes.ResourceExhausted, codes.Internal, codes.Aborted},
			gax.Backoff{Initial: 100 * time.Millisecond, Max: 2 * time.Second, Multiplier: 2})
	})
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(b []byte) *wrapperspb.Int64Value {
	return wrapperspb.Int64(int64(crc32.Checksum(b, castagnoli)))
}

// transfers is how often a request is repeated whose bytes did not arrive whole.
const transfers = 3

// Wrap implements KEK. Checksums go both ways: a secret that was garbled on the
// way to KMS would be lost.
func (k *cloudKEK) Wrap(ctx context.Context, secret, aad []byte) ([]byte, error) {
	for range transfers {
		out, err := k.client.Encrypt(ctx, &kmspb.EncryptRequest{Name: k.key, Plaintext: secret, PlaintextCrc32C: checksum(secret),
			AdditionalAuthenticatedData: aad, AdditionalAuthenticatedDataCrc32C: checksum(aad)}, retries())
		if err != nil {
			return nil, kmsFault(ctx, err)
		}
		if out.GetVerifiedPlaintextCrc32C() && out.GetVerifiedAdditionalAuthenticatedDataCrc32C() &&
			out.GetCiphertextCrc32C().GetValue() == checksum(out.GetCiphertext()).GetValue() && strings.HasPrefix(out.GetName(), k.key+"/") {
			return out.GetCiphertext(), nil
		}
	}
	return nil, garbled()
}

// Unwrap implements KEK.
func (k *cloudKEK) Unwrap(ctx context.Context, box, aad []byte) ([]byte, error) {
	for range transfers {
		out, err := k.client.Decrypt(ctx, &kmspb.DecryptRequest{Name: k.key, Ciphertext: box, CiphertextCrc32C: checksum(box),
			AdditionalAuthenticatedData: aad, AdditionalAuthenticatedDataCrc32C: checksum(aad)}, retries())
		if status.Code(err) == codes.InvalidArgument {
			return nil, errBox
		}
		if err != nil {
			return nil, kmsFault(ctx, err)
		}
		if out.GetPlaintextCrc32C().GetValue() == checksum(out.GetPlaintext()).GetValue() {
			return out.GetPlaintext(), nil
		}
	}
	return nil, garbled()
}

func garbled() error {
	return kmsError("keys.kms_garbled", "Cloud KMS: bytes changed on the way, several times", "look for a proxy or a fault of the network between here and cloudkms.googleapis.com", true)
}

// kmsFault tells what the answer of KMS means; its own text is left out.
func kmsFault(ctx context.Context, err error) error {
	code := status.Code(err)
	if ctx.Err() != nil || errors.Is(err, context.DeadlineExceeded) {
		code = codes.DeadlineExceeded
	}
	switch code {
	case codes.Unavailable, codes.DeadlineExceeded, codes.ResourceExhausted, codes.Internal, codes.Aborted, codes.Canceled:
		return kmsError("keys.kms_unavailable", "Cloud KMS did not answer", "try again; if it stays so, look at the network to cloudkms.googleapis.com and the quota of the project", true)
	case codes.PermissionDenied, codes.Unauthenticated:
		return kmsError("keys.kms_permission", "Cloud KMS refused the use of the key encryption key",
			"give this service account roles/cloudkms.cryptoKeyEncrypterDecrypter on that key only", false)
	case codes.FailedPrecondition:
		return kmsError("keys.kms_disabled", "the key encryption key is disabled or destroyed in Cloud KMS",
			"enable the version that wrapped the keys; one scheduled for destruction can be restored until its date", false)
	case codes.NotFound:
		return kmsError("keys.kms_missing", "Cloud KMS knows no such key encryption key", "correct service.keys", false)
	}
	return kmsError("keys.kms_failed", "Cloud KMS refused ("+code.String()+")", "look at the log of Cloud KMS for the reason", false)
}

func kmsError(code, op, hint string, temporary bool) error {
	return &study.Error{Code: code, Op: op, Hint: hint, Temporary: temporary, Exit: study.ExitEnvironment}
}
