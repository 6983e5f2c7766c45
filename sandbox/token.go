package sandbox

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"time"
)

// scope is what a token must be asked for.
const scope = "https://www.googleapis.com/auth/mapsbooking"

const account = "holdfast@sandbox.invalid" // the service account

// longestToken is how long a token works.
const longestToken = time.Hour

// keyFile is a service account's key, as Google's console gives it out.
type keyFile struct {
	Type         string `json:"type"`
	ProjectID    string `json:"project_id"`
	PrivateKeyID string `json:"private_key_id"`
	PrivateKey   string `json:"private_key"`
	ClientEmail  string `json:"client_email"`
	TokenURI     string `json:"token_uri"`
}

// NewKey makes a service account's key.
func NewKey() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) }

// WriteKey returns the key file of the sandbox's service account, for the partner.
func (s *Server) WriteKey() ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(s.o.Key)
	if err != nil {
		return nil, err
	}
	return json.MarshalIndent(keyFile{
		Type: "service_account", ProjectID: "sandbox", PrivateKeyID: "sandbox", ClientEmail: account, TokenURI: s.o.URL + "/token",
		PrivateKey: string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
	}, "", "  ")
}

// ReadKey returns the key in a file that WriteKey has made.
func ReadKey(content []byte) (*rsa.PrivateKey, error) {
	var f keyFile
	if err := json.Unmarshal(content, &f); err != nil {
		return nil, fmt.Errorf("not a key file: %w", err)
	}
	block, _ := pem.Decode([]byte(f.PrivateKey))
	if block == nil {
		return nil, errors.New("not a key file: private_key is not PEM")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errors.New("not a key file: private_key is not PKCS #8")
	}
	private, ok := key.(*rsa.PrivateKey)
	if !ok || f.ClientEmail != account {
		return nil, errors.New("the key file is not a sandbox's")
	}
	return private, nil
}

// claims are what a service account signs to get a token (RFC 7523).
type claims struct {
	Issuer   string `json:"iss"`
	Audience string `json:"aud"`
	Scope    string `json:"scope"`
	Issued   int64  `json:"iat"`
	Expires  int64  `json:"exp"`
}

// token gives a service account a token for what it has signed.
func (s *Server) token(w http.ResponseWriter, r *http.Request) {
	no := func(code, what string) {
		writeJSON(w, http.StatusBadRequest, map[string]string{"error": code, "error_description": what})
	}
	if err := r.ParseForm(); err != nil {
		no("invalid_request", "the form cannot be read")
		return
	}
	if r.PostForm.Get("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer" {
		no("unsupported_grant_type", "Invalid grant_type: "+r.PostForm.Get("grant_type"))
		return
	}
	c, err := signed(r.PostForm.Get("assertion"), &s.o.Key.PublicKey)
	now := s.o.Now()
	const skew = 5 * time.Minute
	switch {
	case err != nil:
		no("invalid_grant", "Invalid JWT: "+err.Error())
	case c.Issuer != account:
		no("invalid_grant", "Invalid grant: account not found")
	case c.Audience != s.o.URL+"/token":
		no("invalid_grant", "Invalid JWT: aud must be the key file's token_uri")
	case time.Unix(c.Issued, 0).After(now.Add(skew)) || time.Unix(c.Expires, 0).Before(now.Add(-skew)) || c.Expires-c.Issued > int64(longestToken/time.Second):
		no("invalid_grant", "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. Check your iat and exp values in the JWT claim.")
	case !strings.Contains(" "+c.Scope+" ", " "+scope+" "):
		no("invalid_scope", "Invalid OAuth scope or ID token audience provided.")
	default:
		token := "sandbox." + randomHex()
		s.mu.Lock()
		defer s.mu.Unlock()
		maps.DeleteFunc(s.tokens, func(_ string, until time.Time) bool { return now.After(until) || len(s.tokens) >= most })
		s.tokens[token] = now.Add(longestToken)
		writeJSON(w, http.StatusOK, map[string]any{"access_token": token, "expires_in": int(longestToken / time.Second), "token_type": "Bearer"})
	}
}

// signed returns the claims of a JWT that the key has signed with RS256.
func signed(jwt string, key *rsa.PublicKey) (claims, error) {
	var c claims
	parts := strings.Split(jwt, ".")
	if len(parts) != 3 {
		return c, errors.New("not a JWT")
	}
	var raw [3][]byte
	for i, p := range parts {
		var err error
		if raw[i], err = base64.RawURLEncoding.DecodeString(strings.TrimRight(p, "=")); err != nil {
			return c, errors.New("not a JWT")
		}
	}
	var header struct {
		Algorithm string `json:"alg"`
	}
	if err := json.Unmarshal(raw[0], &header); err != nil || header.Algorithm != "RS256" {
		return c, errors.New("alg must be RS256")
	}
	digest := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	if err := rsa.VerifyPKCS1v15(key, crypto.SHA256, digest[:], raw[2]); err != nil {
		return c, errors.New("the signature is wrong")
	}
	if err := json.Unmarshal(raw[1], &c); err != nil {
		return c, errors.New("the claims cannot be read")
	}
	return c, nil
}

func randomHex() string {
	random := make([]byte, 24)
	_, _ = rand.Read(random) // it never fails
	return hex.EncodeToString(random)
}
