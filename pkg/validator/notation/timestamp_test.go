package notation_test

import (
	"strings"
	"testing"
	"time"

	"github.com/sse-secure-systems/connaisseur/pkg/testing/notationtest"
	"github.com/sse-secure-systems/connaisseur/pkg/validator"
)

func TestTimestampsTellWhetherACertificateWasValidWhenItWasUsed(t *testing.T) {
	t.Parallel()
	ago := time.Now().Add(-48 * time.Hour)
	expired := notationtest.Valid(ago.Add(-time.Hour), ago.Add(time.Hour))
	valid := notationtest.Valid(ago.Add(-time.Hour), time.Now().Add(time.Hour))
	then, since := notationtest.NewTimestampAuthority(t), notationtest.NewTimestampAuthority(t)
	then.At, since.At = ago, ago.Add(2*time.Hour)
	for name, c := range map[string]struct {
		certificate notationtest.CertificateOption
		stamped     *notationtest.TimestampAuthority // by whom
		trusted     *notationtest.TimestampAuthority // who is
		option      string
		want        validator.Reason // none if trusted
		words       string
	}{
		"valid, no timestamp":                                   {valid, nil, nil, "", "", ""},
		"valid, a timestamp that nobody asks for":               {valid, then, nil, "", "", ""},
		"expired, no timestamp":                                 {expired, nil, nil, "", validator.Expired, "has no timestamp"},
		"expired, a timestamp that nobody trusts":               {expired, then, nil, "", validator.Expired, "knows no authority"},
		"expired, stamped in time":                              {expired, then, then, "", "", ""},
		"expired, stamped too late":                             {expired, since, since, "", validator.InvalidTrustData, "after certificate"},
		"expired, stamped by another":                           {expired, then, since, "", validator.InvalidTrustData, "timestamp"},
		"expired, none where one is asked for":                  {expired, nil, then, "", validator.Expired, "has no timestamp"},
		"valid, none where one is asked for":                    {valid, nil, then, "", validator.InvalidTrustData, "comes without a timestamp"},
		"valid, none where one is always asked for":             {valid, nil, then, "always", validator.InvalidTrustData, "verifyTimestamp: afterCertExpiry"},
		"valid, none where one is asked for after expiry":       {valid, nil, then, "afterCertExpiry", "", ""},
		"expired, none where one is asked for after expiry":     {expired, nil, then, "afterCertExpiry", validator.Expired, "has no timestamp"},
		"expired, stamped where one is asked for after expiry":  {expired, then, then, "afterCertExpiry", "", ""},
		"valid, stamped too late where one is always asked for": {notationtest.Valid(ago.Add(-time.Hour), ago.Add(time.Hour)), since, since, "always", validator.InvalidTrustData, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for form, options := range forms {
				s := newScene(t)
				s.ca = notationtest.New(t, "Example CA", notationtest.Valid(ago.AddDate(-1, 0, 0), time.Now().AddDate(1, 0, 0)))
				options = append(options, notationtest.At(ago))
				if c.stamped != nil {
					options = append(options, notationtest.Stamped(c.stamped))
				}
				s.ca.Signer(t, "me", c.certificate).Sign(t, s.reg, s.img, options...)
				root, with := fields{}, fields{}
				if c.trusted != nil {
					root["tsCert"] = c.trusted.Root.PEM()
				}
				if c.option != "" {
					with["verifyTimestamp"] = c.option
				}
				v := s.bind(s.usual(root), with)
				if c.want == "" {
					s.trusts(v)
					continue
				}
				t.Log(form)
				s.denies(v, c.want, c.words)
				with["verificationLevel"] = "permissive"
				if r := s.trusts(s.bind(s.usual(root), with)); len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0], "the time is not verified") {
					t.Errorf("permissive leaves no trace: %q", r.Warnings)
				}
			}
		})
	}
}

// A timestamp is over the signature, and cannot be moved to another.
func TestATimestampOfAnotherSignatureIsDenied(t *testing.T) {
	t.Parallel()
	ago := time.Now().Add(-48 * time.Hour)
	tsa := notationtest.NewTimestampAuthority(t)
	tsa.At = ago
	s := newScene(t)
	s.ca = notationtest.New(t, "Example CA", notationtest.Valid(ago.AddDate(-1, 0, 0), time.Now().AddDate(1, 0, 0)))
	me := s.ca.Signer(t, "me", notationtest.Valid(ago.Add(-time.Hour), ago.Add(time.Hour)))
	const key = "io.cncf.notary.timestampSignature"
	var stamp any
	me.Envelope(t, s.img, notationtest.At(ago), notationtest.Stamped(tsa), jws(func(parts map[string]any) { stamp = parts["header"].(map[string]any)[key] }))
	if stamp == nil {
		t.Fatal("there is no timestamp")
	}
	me.Sign(t, s.reg, s.img, notationtest.At(ago), jws(func(parts map[string]any) { parts["header"].(map[string]any)[key] = stamp }))
	s.denies(s.bind(s.usual(fields{"tsCert": tsa.Root.PEM()}), nil), validator.InvalidTrustData, "timestamp")
}
