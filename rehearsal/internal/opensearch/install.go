package opensearch

import (
	"archive/zip"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

const (
	serverArchive   = "server.zip"
	securityArchive = "security.zip"
)

// settings are the node's opensearch.yml. Port 0 is a free port, which the node writes to the folder of its logs.
const settings = `
cluster.name: test
discovery.type: single-node
network.host: 127.0.0.1
http.port: 0
transport.port: 0
node.portsfile: true
http.max_content_length: 10mb
# A disk that is nearly full is no reason to refuse a test's lines.
cluster.routing.allocation.disk.threshold_enabled: false
plugins.security.allow_default_init_securityindex: true
plugins.security.restapi.roles_enabled: [all_access]
plugins.security.ssl.http.enabled: false
plugins.security.ssl.transport.enforce_hostname_verification: false
plugins.security.ssl.transport.pemcert_filepath: certificate.pem
plugins.security.ssl.transport.pemkey_filepath: key.pem
plugins.security.ssl.transport.pemtrustedcas_filepath: certificate.pem
`

// security are the changed files of the security plugin
// (https://docs.opensearch.org/latest/security/configuration/yaml/).
var security = map[string]string{
	"config.yml": `
_meta: {type: config, config_version: 2}
config:
  dynamic:
    http:
      xff: {enabled: true, internalProxies: '127\.0\.0\.1'}
    authc:
      proxy:
        http_enabled: true
        order: 0
        http_authenticator: {type: proxy, challenge: false, config: {user_header: x-proxy-user, roles_header: x-proxy-roles}}
        authentication_backend: {type: noop}
`,
	"internal_users.yml": "_meta: {type: internalusers, config_version: 2}\n",
	"roles.yml":          "_meta: {type: roles, config_version: 2}\n",
	"roles_mapping.yml":  "_meta: {type: rolesmapping, config_version: 2}\nall_access: {backend_roles: [" + Admin + "]}\n",
}

// install unpacks the archives into an empty folder and configures what is in them.
func install(archives, dir string) error {
	plugin := filepath.Join(dir, "plugins", "opensearch-security")
	beside := make(chan error, 1) // under the race detector each takes seconds
	go func() { beside <- unpack(filepath.Join(archives, securityArchive), ".", plugin) }()
	if err := errors.Join(
		unpack(filepath.Join(archives, serverArchive), "opensearch-*", dir),
		os.Mkdir(filepath.Join(dir, "tmp"), 0o700),
		<-beside,
	); err != nil {
		return err
	}
	config := filepath.Join(dir, "config")
	if err := os.Rename(filepath.Join(plugin, "config"), filepath.Join(config, "opensearch-security")); err != nil {
		return err
	}
	certificate, key, err := Certificate()
	if err != nil {
		return err
	}
	files := map[string][]byte{"opensearch.yml": []byte(settings), "certificate.pem": certificate, "key.pem": key}
	for name, content := range security {
		files[filepath.Join("opensearch-security", name)] = []byte(content)
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(config, name), content, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// unpack copies the one folder of an archive that matches the pattern.
func unpack(archive, pattern, dir string) error {
	reader, err := zip.OpenReader(archive)
	if err != nil {
		return fmt.Errorf("%s: %w", archive, err)
	}
	defer func() { _ = reader.Close() }()
	folders, err := fs.Glob(reader, pattern)
	if err != nil || len(folders) != 1 {
		return fmt.Errorf("%s: %d folders are named %s, expected 1: %w", archive, len(folders), pattern, err)
	}
	content, err := fs.Sub(reader, folders[0])
	if err != nil {
		return err
	}
	return os.CopyFS(dir, content)
}

// Certificate makes a certificate for 127.0.0.1 that is its own authority, and its key, in PEM. It is not of RSA, with which handshakes
// take seconds under the race detector. The node needs one for its own protocol, though it is alone.
func Certificate() (certificate, key []byte, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "node"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0), IsCA: true, BasicConstraintsValid: true,
	}
	signed, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		return nil, nil, err
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: signed}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded}), nil
}
