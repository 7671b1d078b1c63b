package trust

import (
	"fmt"
	"regexp"
	"strings"
)

// maxURI bounds a KMS URI, in bytes.
const maxURI = 1024

// kmsForm is how the URIs of a KMS look. The expressions allow no more than
// those of Sigstore's providers, and neither white space nor anything else
// that has a meaning in a URL or for a shell.
type kmsForm struct {
	scheme string
	text   string
	form   *regexp.Regexp
}

const (
	kmsHost = `[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]{1,5})?`
	awsKey  = `m?r?k?-?[A-Fa-f0-9]{8}-?[A-Fa-f0-9]{4}-?[A-Fa-f0-9]{4}-?[A-Fa-f0-9]{4}-?[A-Fa-f0-9]{12}`
	gcpPart = `[A-Za-z0-9_.:-]+`
)

var kmsForms = []kmsForm{
	{
		"awskms://", "awskms://[ENDPOINT]/ID, where ID is a key's ID or ARN, or an alias's name (alias/NAME) or ARN",
		regexp.MustCompile(`^awskms://(` + kmsHost + `)?/(arn:(aws|aws-us-gov|aws-cn):kms:[a-z0-9-]+:[0-9]{12}:)?(alias/[A-Za-z0-9/_-]+)$` +
			`|^awskms://(` + kmsHost + `)?/(arn:(aws|aws-us-gov|aws-cn):kms:[a-z0-9-]+:[0-9]{12}:key/)?` + awsKey + `$`),
	},
	{
		"gcpkms://", "gcpkms://projects/PROJECT/locations/LOCATION/keyRings/RING/cryptoKeys/KEY[/cryptoKeyVersions/VERSION]",
		regexp.MustCompile(`^gcpkms://projects/` + gcpPart + `/locations/` + gcpPart + `/keyRings/` + gcpPart + `/cryptoKeys/` + gcpPart +
			`(/(cryptoKeyVersions|versions)/[0-9]+)?$`),
	},
	{
		"azurekms://", "azurekms://VAULT.vault.azure.net/KEY[/VERSION]",
		regexp.MustCompile(`^azurekms://` + kmsHost + `/[A-Za-z0-9-]+(/[a-z0-9]+)?$`),
	},
	{
		"hashivault://", "hashivault://KEY",
		regexp.MustCompile(`^hashivault://[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?$`),
	},
}

// kmsScheme tells whether a reference begins with the scheme of a KMS.
func kmsScheme(s string) bool {
	for _, kms := range kmsForms {
		if strings.HasPrefix(s, kms.scheme) {
			return true
		}
	}
	return false
}

// checkKMS tells whether a URI is one of a KMS that is supported.
func checkKMS(uri string) error {
	for _, kms := range kmsForms {
		if !strings.HasPrefix(uri, kms.scheme) {
			continue
		}
		if len(uri) > maxURI || !kms.form.MatchString(uri) || strings.Contains(uri, "..") {
			return fmt.Errorf("%.200q must read %s", uri, kms.text)
		}
		if host, _, _ := strings.Cut(strings.TrimPrefix(uri, kms.scheme), "/"); linkLocal(host) {
			return fmt.Errorf("%.200q has a link-local address, where no KMS can be", uri)
		}
		return nil
	}
	return fmt.Errorf("%.40q is not supported; a KMS URI begins with awskms://, gcpkms://, azurekms:// or hashivault://", uri)
}
