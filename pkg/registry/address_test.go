package registry

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/sse-secure-systems/connaisseur/pkg/validator"
)

// T34: no spelling of an address escapes.
func TestT34Addresses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, address string
		never         bool // refused even for insecure hosts
		local         bool // for insecure hosts only
	}{
		{name: "a public address is fine", address: "140.82.121.33"},
		{name: "a public IPv6 address is fine", address: "2606:50c0:8000::154"},
		{name: "a private address is fine", address: "10.1.2.3"},
		{name: "a unique local address is fine", address: "fd12:3456::1"},
		{name: "a public address in NAT64 is fine", address: "64:ff9b::140.82.121.33"},
		{name: "loopback is local", address: "127.0.0.1", local: true},
		{name: "all of 127/8 is local", address: "127.8.9.1", local: true},
		{name: "IPv6 loopback is local", address: "::1", local: true},
		{name: "mapped loopback is local", address: "::ffff:127.0.0.1", local: true},
		{name: "translated loopback is local", address: "::ffff:0:127.0.0.1", local: true},
		{name: "compatible loopback is local", address: "::127.0.0.1", local: true},
		{name: "NAT64 loopback is local", address: "64:ff9b::7f00:1", local: true},
		{name: "6to4 loopback is local", address: "2002:7f00:1::", local: true},
		{name: "link-local is for nobody", address: "169.254.1.1", never: true},
		{name: "the metadata service is for nobody", address: "169.254.169.254", never: true},
		{name: "nor mapped", address: "::ffff:169.254.169.254", never: true},
		{name: "nor in NAT64", address: "64:ff9b::a9fe:a9fe", never: true},
		{name: "nor in local NAT64", address: "64:ff9b:1::a9fe:a9fe", never: true},
		{name: "nor in local NAT64 of /48", address: "64:ff9b:1:a9fe:a9:fe00::", never: true},
		{name: "nor in 6to4", address: "2002:a9fe:a9fe::1", never: true},
		{name: "nor in Teredo", address: "2001:0:4136:e378:8000:63bf:5601:5601", never: true},
		{name: "nor in ISATAP", address: "2001:db8::200:5efe:a9fe:a9fe", never: true},
		{name: "nor with a zone", address: "fe80::1%eth0", never: true},
		{name: "AWS's over IPv6 is for nobody", address: "fd00:ec2::254", never: true},
		{name: "Google's over IPv6 is for nobody", address: "fd20:ce::254", never: true},
		{name: "Alibaba's is for nobody", address: "100.100.100.200", never: true},
		{name: "Azure's is for nobody", address: "168.63.129.16", never: true},
		{name: "multicast is for nobody", address: "224.0.0.1", never: true},
		{name: "IPv6 multicast is for nobody", address: "ff02::1", never: true},
		{name: "unspecified is for nobody", address: "0.0.0.0", never: true},
		{name: "IPv6 unspecified is for nobody", address: "::", never: true},
		{name: "this network is for nobody", address: "0.1.2.3", never: true},
		{name: "broadcast is for nobody", address: "255.255.255.255", never: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			ip := netip.MustParseAddr(c.address)
			if err := checkAddress(ip, false); (err != nil) != (c.never || c.local) {
				t.Errorf("for an ordinary host: %v", err)
			}
			if err := checkAddress(ip, true); (err != nil) != c.never {
				t.Errorf("for an insecure host: %v", err)
			}
		})
	}
}

// T34: this machine is not only its loopback interface.
func TestT34OwnAddressesAreLocal(t *testing.T) {
	t.Parallel()
	own, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range own {
		ip, ok := netip.AddrFromSlice(a.(*net.IPNet).IP)
		if !ok || ip.Unmap().IsLinkLocalUnicast() {
			continue
		}
		var refused *refusal
		if err := checkAddress(ip, false); !errors.As(err, &refused) {
			t.Errorf("%s is ours, but got %v", ip, err)
		}
		if err := checkAddress(ip, true); err != nil {
			t.Errorf("%s for an insecure host: %v", ip, err)
		}
	}
}

// T34: behind a proxy only the spelling can be judged.
func TestT34Names(t *testing.T) {
	t.Parallel()
	for name, fine := range map[string]bool{
		"ghcr.io": true, "registry.local": true, "10.0.0.1": true, "r2.example.com.": true, "123.example.com": true, "xn--bcher-kva.example": true,
		"localhost": false, "LOCALHOST.": false, "a.localhost": false, "127.0.0.1": false, "::1": false, "169.254.169.254": false,
		"2130706433": false, "127.1": false, "0x7f.1": false, "0x7f000001": false, "0177.0.0.1": false, "127.0.0.0x1": false,
	} {
		if err := checkName(name); (err == nil) != fine {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What the configuration has to say first, no second try helps.
func TestWhatIsNotConfiguredLasts(t *testing.T) {
	t.Parallel()
	plain := tls.RecordHeaderError{RecordHeader: [5]byte([]byte("HTTP/"))}
	for name, c := range map[string]struct {
		err   error
		lasts bool
	}{
		"plain HTTP":                {plain, true},
		"a refusal":                 {&refusal{"it can only be reached by plain HTTP; " + allowInsecure}, true},
		"a strange certificate":     {&tls.CertificateVerificationError{Err: errors.New("unknown authority")}, true},
		"a name that nobody knows":  {&net.DNSError{Err: "no such host"}, false},
		"a connection that is lost": {io.EOF, false},
	} {
		got := (&guard{hosts: &hosts{}}).unreachable(t.Context(), "example.org", c.err)
		if got.Reason != validator.RegistryUnavailable || got.Lasting != c.lasts {
			t.Errorf("%s: %+v", name, got)
		}
		if again := strings.HasPrefix(got.Advice(), "try again"); again == c.lasts {
			t.Errorf("%s: %s; %s", name, got, got.Advice())
		}
	}
}
