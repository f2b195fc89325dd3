package controlplane

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// The files with credentials.
const (
	authorityCertificate        = "authority.crt"
	serverCertificate           = "server.crt"
	serverKey                   = "server.key"
	proxyCertificate            = "proxy.crt"
	proxyKey                    = "proxy.key"
	serviceAccountKey           = "service-accounts.key"
	tokens                      = "tokens.csv"
	controllerManagerKubeconfig = "kube-controller-manager.kubeconfig"
	schedulerKubeconfig         = "kube-scheduler.kubeconfig"
	kwokKubeconfig              = "kwok.kubeconfig"
)

const (
	// clusterAdmins is the group that RBAC lets do everything:
	// https://kubernetes.io/docs/reference/access-authn-authz/rbac/#user-facing-roles
	clusterAdmins = "system:masters"

	// proxyUser is the name under which the API server calls aggregated APIs.
	proxyUser = "front-proxy-client"

	// validity of every certificate: longer than anybody keeps a rehearsal up.
	validity = 365 * 24 * time.Hour
)

// writeCredentials fills dir with every key, certificate, token and kubeconfig that the components' flags name, and
// sets AdminToken.
func (c *ControlPlane) writeCredentials(dir string) error {
	server, serverPrivate, err := c.authority.issueServer()
	if err != nil {
		return fmt.Errorf("server certificate: %w", err)
	}
	proxy, proxyPrivate, err := c.authority.issueClient(proxyUser)
	if err != nil {
		return fmt.Errorf("aggregator's client certificate: %w", err)
	}
	_, serviceAccounts, err := newKey()
	if err != nil {
		return fmt.Errorf("service account key: %w", err)
	}
	c.AdminToken = rand.Text()
	contents := map[string][]byte{
		authorityCertificate: c.authority.pem,
		serverCertificate:    server,
		serverKey:            serverPrivate,
		proxyCertificate:     proxy,
		proxyKey:             proxyPrivate,
		serviceAccountKey:    serviceAccounts,
		// https://kubernetes.io/docs/reference/access-authn-authz/authentication/#static-token-file
		tokens: fmt.Appendf(nil, "%s,cluster-creator,cluster-creator,%s\n", c.AdminToken, clusterAdmins),
	}
	// RBAC has roles for users of these names. It has none for kwok, which is every node's kubelet at once:
	// https://kubernetes.io/docs/reference/access-authn-authz/rbac/#core-component-roles
	if contents[controllerManagerKubeconfig], err = c.kubeconfig("system:kube-controller-manager"); err != nil {
		return err
	}
	if contents[schedulerKubeconfig], err = c.kubeconfig("system:kube-scheduler"); err != nil {
		return err
	}
	if contents[kwokKubeconfig], err = c.kubeconfig("kwok", clusterAdmins); err != nil {
		return err
	}
	for name, content := range contents {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			return fmt.Errorf("credentials: %w", err)
		}
	}
	return nil
}

func (c *ControlPlane) kubeconfig(user string, groups ...string) ([]byte, error) {
	certificate, key, err := c.authority.issueClient(user, groups...)
	if err != nil {
		return nil, fmt.Errorf("client certificate of %s: %w", user, err)
	}
	const cluster = "rehearsal"
	content, err := clientcmd.Write(clientcmdapi.Config{
		Clusters:       map[string]*clientcmdapi.Cluster{cluster: {Server: c.URL, CertificateAuthorityData: c.CA}},
		AuthInfos:      map[string]*clientcmdapi.AuthInfo{user: {ClientCertificateData: certificate, ClientKeyData: key}},
		Contexts:       map[string]*clientcmdapi.Context{cluster: {Cluster: cluster, AuthInfo: user}},
		CurrentContext: cluster,
	})
	if err != nil {
		return nil, fmt.Errorf("kubeconfig of %s: %w", user, err)
	}
	return content, nil
}

// authority signs every certificate of one control plane. One is enough for users, servers and the aggregator: the
// names in the certificates say who may pose as whom, and it signs for nobody else.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	pem         []byte
}

func newAuthority() (*authority, error) {
	template := newTemplate("rehearsal")
	template.IsCA = true
	template.BasicConstraintsValid = true
	template.KeyUsage = x509.KeyUsageCertSign
	key, _, err := newKey()
	if err != nil {
		return nil, err
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &authority{certificate: certificate, key: key, pem: toPEM("CERTIFICATE", der)}, nil
}

// issueClient makes the certificate of a Kubernetes user who belongs to groups:
// https://kubernetes.io/docs/reference/access-authn-authz/authentication/#x509-client-certificates
func (a *authority) issueClient(user string, groups ...string) (certificate, key []byte, err error) {
	template := newTemplate(user, groups...)
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	return a.issue(template)
}

// issueServer makes a certificate for any server on the loopback interface. With it the API server is also etcd's
// client.
func (a *authority) issueServer() (certificate, key []byte, err error) {
	template := newTemplate("localhost")
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	template.DNSNames = []string{"localhost"}
	template.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	return a.issue(template)
}

func (a *authority) issue(template *x509.Certificate) (certificate, key []byte, err error) {
	private, key, err := newKey()
	if err != nil {
		return nil, nil, err
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, private.Public(), a.key)
	if err != nil {
		return nil, nil, err
	}
	return toPEM("CERTIFICATE", der), key, nil
}

// client is an HTTP client that knows the control plane's servers and may ask all of them anything.
func (a *authority) client() (*http.Client, error) {
	certificate, key, err := a.issueClient("health", clusterAdmins)
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AddCert(a.certificate)
	return &http.Client{
		Timeout:   5 * time.Second,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}}},
	}, nil
}

func newTemplate(commonName string, groups ...string) *x509.Certificate {
	begin := time.Now().Add(-time.Hour) // a clock that is set back meanwhile does no harm
	return &x509.Certificate{
		Subject:   pkix.Name{CommonName: commonName, Organization: groups},
		NotBefore: begin,
		NotAfter:  begin.Add(validity),
		KeyUsage:  x509.KeyUsageDigitalSignature,
	}
}

func newKey() (*ecdsa.PrivateKey, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, nil, err
	}
	return key, toPEM("EC PRIVATE KEY", der), nil
}

func toPEM(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}
