package remote

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"cloud.google.com/go/kms/apiv1/kmspb"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
)

// secretToken is what clients identify themselves with. No error may have it.
const secretToken = "s.ecret"

func newPublic(t testing.TB) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func reply(w http.ResponseWriter, code int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(value) // whoever asked may be gone
}

type object = map[string]any

// startAWS serves https, since an endpoint in a URI is always asked so.
func startAWS(t testing.TB, f *kmsFake) (string, []option.ClientOption, func()) {
	setAWS(t)
	server := f.serve(t, httptest.NewTLSServer, f.aws)
	return "awskms://" + server.Listener.Addr().String() + "/alias/signing", nil, func() { server.CloseClientConnections(); server.Close() }
}

// startAWSRegion has the SDK's own setting for endpoints stand for the region's.
func startAWSRegion(t testing.TB, f *kmsFake) (string, []option.ClientOption, func()) {
	setAWS(t)
	server := f.serve(t, httptest.NewServer, f.aws)
	t.(*testing.T).Setenv("AWS_ENDPOINT_URL_KMS", server.URL)
	return "awskms:///1234abcd-12ab-34cd-56ef-1234567890ab", nil, func() { server.CloseClientConnections(); server.Close() }
}

func setAWS(t testing.TB) {
	for name, value := range map[string]string{
		"AWS_REGION": "eu-central-1", "AWS_ACCESS_KEY_ID": "AKIDTEST", "AWS_SECRET_ACCESS_KEY": secretToken,
		"AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
	} {
		t.(*testing.T).Setenv(name, value)
	}
}

// aws answers GetPublicKey and DescribeKey (AWS KMS API reference).
func (f *kmsFake) aws(w http.ResponseWriter, req *http.Request) {
	signed := strings.Contains(req.Header.Get("Authorization"), "Credential=AKIDTEST/")
	switch operation := req.Header.Get("X-Amz-Target"); {
	case f.is() == denied || !signed:
		reply(w, http.StatusBadRequest, object{"__type": "AccessDeniedException", "message": "User is not authorized to perform: " + operation})
	case f.is() == absurd:
		reply(w, http.StatusOK, object{})
	case operation == "TrentService.GetPublicKey":
		f.mu.Lock()
		defer f.mu.Unlock()
		reply(w, http.StatusOK, object{"KeyId": "1", "PublicKey": f.public, "SigningAlgorithms": []string{"ECDSA_SHA_256"}})
	case operation == "TrentService.DescribeKey":
		reply(w, http.StatusOK, object{"KeyMetadata": object{"KeyId": "1", "SigningAlgorithms": []string{"ECDSA_SHA_256"}}})
	default:
		http.NotFound(w, req)
	}
}

// startVault serves the transit engine, where VAULT_ADDR says.
func startVault(t testing.TB, f *kmsFake) (string, []option.ClientOption, func()) {
	server := f.serve(t, httptest.NewServer, f.vault)
	t.(*testing.T).Setenv("VAULT_ADDR", server.URL)
	t.(*testing.T).Setenv("VAULT_TOKEN", secretToken)
	return "hashivault://signing", nil, func() { server.CloseClientConnections(); server.Close() }
}

// vault answers GET /v1/transit/keys/NAME (Vault's HTTP API).
func (f *kmsFake) vault(w http.ResponseWriter, req *http.Request) {
	switch {
	case f.is() == denied || req.Header.Get("X-Vault-Token") != secretToken:
		reply(w, http.StatusForbidden, object{"errors": []string{"1 error occurred:\n\t* permission denied\n\n"}})
	case f.is() == absurd:
		reply(w, http.StatusOK, object{"data": object{"latest_version": "one", "keys": []int{1}}})
	case req.URL.Path == "/v1/transit/keys/signing":
		reply(w, http.StatusOK, object{"data": object{"latest_version": 2, "keys": object{"2": object{"name": "P-256", "public_key": string(f.pem())}}}})
	default:
		http.NotFound(w, req)
	}
}

// startAzure serves a vault, and the endpoint that gives a Pod its identity.
func startAzure(t testing.TB, f *kmsFake) (string, []option.ClientOption, func()) {
	identity := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Header.Get("X-Identity-Header") != "identity" {
			http.Error(w, "who are you?", http.StatusUnauthorized)
			return
		}
		reply(w, http.StatusOK, object{"access_token": secretToken, "expires_in": 3600, "token_type": "Bearer", "resource": req.URL.Query().Get("resource")})
	}))
	t.Cleanup(identity.Close)
	for name, value := range map[string]string{"AZURE_TOKEN_CREDENTIALS": "ManagedIdentityCredential", "IDENTITY_ENDPOINT": identity.URL, "IDENTITY_HEADER": "identity"} {
		t.(*testing.T).Setenv(name, value)
	}
	server := f.serve(t, httptest.NewTLSServer, f.azure)
	return "azurekms://" + server.Listener.Addr().String() + "/signing", nil, func() { server.CloseClientConnections(); server.Close() }
}

// azure answers GET /keys/NAME/VERSION (Key Vault's REST API), after the
// challenge with which a client learns whom to ask for a token. The resource
// that it names must be a domain of the vault's own, so of 127.0.0.1.
func (f *kmsFake) azure(w http.ResponseWriter, req *http.Request) {
	parent := strings.TrimPrefix(req.Host, "127.")
	w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer authorization="https://login.microsoftonline.com/tenant", resource="https://%s"`, parent))
	switch {
	case req.Header.Get("Authorization") != "Bearer "+secretToken:
		reply(w, http.StatusUnauthorized, object{"error": object{"code": "Unauthorized"}})
	case f.is() == denied:
		reply(w, http.StatusForbidden, object{"error": object{"code": "Forbidden", "message": "The user does not have keys get permission"}})
	case f.is() == absurd:
		reply(w, http.StatusOK, object{"key": object{}}) // its client takes the address of nothing
	case strings.HasPrefix(req.URL.Path, "/keys/signing"):
		f.mu.Lock()
		defer f.mu.Unlock()
		parsed, err := x509.ParsePKIXPublicKey(f.public)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		point, err := parsed.(*ecdsa.PublicKey).Bytes()
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		encode := base64.RawURLEncoding.EncodeToString
		reply(w, http.StatusOK, object{"key": object{"kid": "https://" + req.Host + "/keys/signing/1", "kty": "EC-HSM", "crv": "P-256", "x": encode(point[1:33]), "y": encode(point[33:])}})
	default:
		http.NotFound(w, req)
	}
}

// google answers what the provider asks (Cloud KMS's gRPC API).
type google struct {
	kmspb.UnimplementedKeyManagementServiceServer
	fake *kmsFake
}

// startGoogle has the connection made without TLS and credentials; all else is
// as in production.
func startGoogle(t testing.TB, f *kmsFake) (string, []option.ClientOption, func()) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	kmspb.RegisterKeyManagementServiceServer(server, &google{fake: f})
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { close(f.end); server.Stop() })
	return "gcpkms://projects/p/locations/global/keyRings/r/cryptoKeys/signing", []option.ClientOption{
		option.WithEndpoint(listener.Addr().String()), option.WithoutAuthentication(),
		option.WithGRPCDialOption(grpc.WithTransportCredentials(insecure.NewCredentials())),
	}, server.Stop
}

func (g *google) refusal(ctx context.Context) error {
	switch g.fake.is() {
	case denied:
		return status.Error(codes.PermissionDenied, "Permission 'cloudkms.cryptoKeys.get' denied")
	case slow:
		select {
		case <-ctx.Done():
		case <-g.fake.end:
		}
		return status.Error(codes.Canceled, "too late")
	}
	return nil
}

func (g *google) GetCryptoKey(ctx context.Context, req *kmspb.GetCryptoKeyRequest) (*kmspb.CryptoKey, error) {
	return &kmspb.CryptoKey{Name: req.Name, Purpose: kmspb.CryptoKey_ASYMMETRIC_SIGN}, g.refusal(ctx)
}

func (g *google) ListCryptoKeyVersions(ctx context.Context, req *kmspb.ListCryptoKeyVersionsRequest) (*kmspb.ListCryptoKeyVersionsResponse, error) {
	return &kmspb.ListCryptoKeyVersionsResponse{CryptoKeyVersions: []*kmspb.CryptoKeyVersion{{
		Name: req.Parent + "/cryptoKeyVersions/1", Algorithm: kmspb.CryptoKeyVersion_EC_SIGN_P256_SHA256,
	}}}, g.refusal(ctx)
}

func (g *google) GetPublicKey(ctx context.Context, req *kmspb.GetPublicKeyRequest) (*kmspb.PublicKey, error) {
	if g.fake.is() == absurd {
		return &kmspb.PublicKey{Pem: string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: []byte("no key")}))}, nil
	}
	return &kmspb.PublicKey{Name: req.Name, Pem: string(g.fake.pem())}, g.refusal(ctx)
}
