package remote

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/tuf"
	"github.com/theupdateframework/go-tuf/v2/metadata/config"
	"github.com/theupdateframework/go-tuf/v2/metadata/updater"

	"github.com/sse-secure-systems/connaisseur/pkg/trust"
)

const (
	// tufInterval is how often a repository is looked at. The public-good
	// instance signs its timestamp anew every few days.
	tufInterval = 6 * time.Hour
	// target is what is fetched from a repository.
	target = "trusted_root.json"
	// maxTarget bounds it, in bytes; that of the public-good instance has 7,000.
	maxTarget = 256 << 10
)

// nowhere is no folder, so that the updater finds no file in it: it looks for
// metadata on disk even where it is told to cache nothing there.
var nowhere = filepath.Join(os.DevNull, "nowhere")

// repositories fetches the trusted root from TUF repositories.
type repositories struct{}

func (t repositories) source() source {
	return source{fetch: t.fetch, valid: validTrustedRoot, interval: tufInterval}
}

func validTrustedRoot(content []byte) error {
	if len(content) > maxTarget {
		return fmt.Errorf("has %d bytes, which is more than %d", len(content), maxTarget)
	}
	if _, err := root.NewTrustedRootFromJSON(content); err != nil {
		return fmt.Errorf("is no trusted root: %w", err)
	}
	return nil
}

// fetch follows TUF's client workflow from the root of trust on. The updater is
// sigstore-go's own; its wrapper in sigstore-go does not tell the versions,
// without which a mirror could go back to what was valid before.
func (repositories) fetch(ctx context.Context, last trust.Fetched) (got trust.Fetched, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the TUF client panicked: %v", p)
		}
	}()
	anchor := []byte(last.Where.Root)
	if len(anchor) == 0 {
		anchor = tuf.DefaultRoot()
	}
	settings, err := config.New(last.Where.TUF, anchor)
	if err != nil {
		return last, err
	}
	mirror := newMirror(ctx, last.Where.TUF)
	defer mirror.close()
	settings.Fetcher, settings.DisableLocalCache = mirror, true
	settings.LocalMetadataDir, settings.LocalTargetsDir = nowhere, nowhere
	settings.MaxDelegations = 0 // the names of delegated roles become parts of paths
	client, err := updater.New(settings)
	if err != nil {
		return last, fmt.Errorf("the root of trust cannot be used: %w", err)
	}
	if err := client.Refresh(); err != nil {
		return last, err
	}
	trusted := client.GetTrustedMetadataSet()
	got.RootVersion, got.TimestampVersion = trusted.Root.Signed.Version, trusted.Timestamp.Signed.Version
	got.RootExpires = trusted.Root.Signed.Expires
	if err := rolledBack(last, got); err != nil {
		return last, err
	}
	info, err := client.GetTargetInfo(target)
	if err != nil {
		return last, err
	}
	_, got.Content, err = client.DownloadTarget(info, "", "")
	return got, err
}

// rolledBack refuses metadata that is older than what was seen before. A new
// root may have the other versions begin anew, which is how a repository
// recovers from a version that was set too high.
func rolledBack(last, got trust.Fetched) error {
	if last.Content == nil || got.RootVersion > last.RootVersion {
		return nil
	}
	if got.RootVersion < last.RootVersion || got.TimestampVersion < last.TimestampVersion {
		return fmt.Errorf("it was rolled back: from version %d of its timestamp under root %d to %d under %d",
			last.TimestampVersion, last.RootVersion, got.TimestampVersion, got.RootVersion)
	}
	return nil
}
