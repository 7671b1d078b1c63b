package main

import (
	"context"
	"encoding/json"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"strings"
	_ "unsafe" // for go:linkname

	"github.com/theupdateframework/notary/server/errors"
	"github.com/theupdateframework/notary/server/storage"
	"github.com/theupdateframework/notary/tuf/data"
	"github.com/theupdateframework/notary/tuf/signed"
	"github.com/theupdateframework/notary/tuf/validation"
)

// updater takes what clients publish, in place of the original's
// AtomicUpdateHandler. That takes a role from a file's name and since Go 1.17
// gets no more than the part behind the last slash: "releases" where it was sent
// "targets/releases". (https://github.com/notaryproject/notary/pull/1635 is in
// no release.)
type updater struct {
	keys  signed.CryptoService
	store storage.MetaStore
}

// validateUpdate is the original's, and decides what is published.
//
//go:linkname validateUpdate github.com/theupdateframework/notary/server/handlers.validateUpdate
func validateUpdate(keys signed.CryptoService, gun data.GUN, updates []storage.MetaUpdate, store storage.MetaStore) ([]storage.MetaUpdate, error)

// gunOfUpdate is the repository that a request is to publish to, if it is.
func gunOfUpdate(r *http.Request) data.GUN {
	gun, ok := strings.CutSuffix(r.URL.Path, "/_trust/tuf/")
	if !ok {
		return ""
	}
	gun, _ = strings.CutPrefix(gun, "/v2/")
	return data.GUN(gun)
}

func (u updater) update(_ context.Context, _ http.ResponseWriter, r *http.Request) error {
	updates, err := read(r)
	if err != nil {
		return err
	}
	gun := gunOfUpdate(r)
	updates, err = validateUpdate(u.keys, gun, updates, u.store)
	if err != nil {
		detail, err := validation.NewSerializableError(err)
		if err != nil {
			return errors.ErrInvalidUpdate.WithDetail(nil)
		}
		return errors.ErrInvalidUpdate.WithDetail(detail)
	}
	switch err := u.store.UpdateMany(gun, updates).(type) {
	case nil:
		return nil
	case storage.ErrOldVersion:
		return errors.ErrOldVersion.WithDetail(err)
	default:
		return errors.ErrUpdating.WithDetail(nil)
	}
}

// read gives the files of a request.
func read(r *http.Request) (updates []storage.MetaUpdate, err error) {
	reader, err := r.MultipartReader()
	if err != nil {
		return nil, errors.ErrMalformedUpload.WithDetail(nil)
	}
	for {
		part, err := reader.NextPart()
		if err == io.EOF {
			return updates, nil
		}
		if err != nil {
			return nil, errors.ErrMalformedUpload.WithDetail(nil)
		}
		role := roleOf(part)
		if !data.ValidRole(role) {
			return nil, errors.ErrInvalidRole.WithDetail(role)
		}
		text, err := io.ReadAll(part)
		if err != nil {
			return nil, errors.ErrMalformedUpload.WithDetail(nil)
		}
		meta := &data.SignedMeta{}
		if err := json.Unmarshal(text, meta); err != nil {
			return nil, errors.ErrMalformedJSON.WithDetail(nil)
		}
		updates = append(updates, storage.MetaUpdate{Role: role, Version: meta.Signed.Version, Data: text})
	}
}

// roleOf is the role in the name of a file, all of it.
func roleOf(part *multipart.Part) data.RoleName {
	_, parameters, err := mime.ParseMediaType(part.Header.Get("Content-Disposition"))
	if err != nil {
		return "" // is not valid
	}
	return data.RoleName(strings.TrimSuffix(parameters["filename"], ".json"))
}
