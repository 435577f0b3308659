package main

import (
	"cmp"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/lanyard-sso/lanyard/keys"
)

// masterFile is where the master key lies with SQLite, unless somebody says otherwise.
func (f storeFlags) masterFile() string { return filepath.Join(f.Data, "master.key") }

// givenMaster is the master key that somebody gave, and where; empty if nobody did.
func (f storeFlags) givenMaster() (text, where string, err error) {
	text, err = fromFile(os.Getenv("LANYARD_MASTER_KEY"), f.MasterKeyFile) // no flag: a command line can be read by everybody
	if err != nil {
		return "", "", fmt.Errorf("the master key: %w", err)
	}
	return text, cmp.Or(f.MasterKeyFile, "LANYARD_MASTER_KEY"), nil
}

// masterKey is the master key and where it lies.
func (f storeFlags) masterKey(dsn string) (text, where string, err error) {
	if text, where, err = f.givenMaster(); err != nil || text != "" {
		return text, where, err
	}
	text, err = f.ownMaster(dsn)
	return text, f.masterFile(), err
}

// begin makes the file of a new SQLite database and then its master key, in this order: whoever finds the key finds the
// database, and where only the key is left, or the lock of a server, the database has gone. A new one in its place would be an empty
// house, so that is an error.
func (f storeFlags) begin(dsn string) error {
	path, isLite := strings.CutPrefix(dsn, "sqlite:")
	if !isLite || path == "" {
		return nil
	}
	given, _, err := f.givenMaster()
	if err != nil {
		return err
	}
	if there(path) {
		if info, err := os.Stat(path); given == "" && err == nil && info.Size() == 0 { // as another process, or a start that was cut off, left it
			return makeMaster(f.masterFile())
		}
		return nil
	}
	if name := f.leftOf(path, given == ""); name != "" && !there(path) { // another process may have made both since
		return fmt.Errorf("the database %s is gone, but %s is there. Put a backup back, lanyard restore FILE; or, to begin anew and empty, move %s away. Nothing was changed", path, name, name)
	}
	if given != "" {
		return nil
	}
	for _, folder := range []string{f.Data, filepath.Dir(path)} {
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return fmt.Errorf("the data folder: %w", err)
		}
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err == nil {
		err = file.Close()
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("the database cannot be made: %w", err)
	}
	return makeMaster(f.masterFile())
}

// leftOf names a file that was made with the SQLite database at path, or with the master key if that is own, made beside it.
func (f storeFlags) leftOf(path string, own bool) string {
	left := []string{path + "-wal", path + ".lock"}
	if own && filepath.Dir(path) == filepath.Clean(f.Data) { // a database elsewhere may be another one with the same key
		left = append([]string{f.masterFile()}, left...)
	}
	for _, name := range left {
		if there(name) {
			return name
		}
	}
	return ""
}

// own tells if the master key is the one that is made beside the database, because no other is given.
func (f storeFlags) own() bool {
	given, _, err := f.givenMaster()
	return given == "" && err == nil
}

func there(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// sealer makes the sealer of the master key, which is somewhere.
func (f storeFlags) sealer(dsn string) (*keys.Sealer, error) {
	text, _, err := f.masterKey(dsn)
	if err != nil {
		return nil, err
	}
	master, err := keys.ParseMaster(text)
	if err != nil {
		return nil, err
	}
	return keys.NewSealer(master)
}

// ownMaster reads the key that lies with an SQLite database.
func (f storeFlags) ownMaster(dsn string) (string, error) {
	if onPostgres(dsn) {
		return "", errors.New("with PostgreSQL the master key comes from LANYARD_MASTER_KEY or LANYARD_MASTER_KEY_FILE; make one with: head -c 32 /dev/urandom | base64")
	}
	file := f.masterFile()
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("%s is there, but its master key %s is not; put the key back, or give it in LANYARD_MASTER_KEY. Nothing was changed", strings.TrimPrefix(dsn, "sqlite:"), file)
	}
	if err != nil {
		return "", fmt.Errorf("the master key: %w", err)
	}
	if info, err := os.Stat(file); err == nil && readable(info.Mode()) {
		return "", fmt.Errorf("%s can be read by others than its owner (mode %04o); run: chmod 600 %s", file, info.Mode().Perm(), file)
	}
	return string(b), nil
}

// readable tells if a file of that mode can be read by others than its owner.
func readable(mode fs.FileMode) bool { return mode.Perm()&0o077 != 0 }

// makeMaster makes the key, unless it is there, so that of several processes at once all have the same one, whole.
func makeMaster(file string) error {
	if there(file) {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return fmt.Errorf("the data folder: %w", err)
	}
	tmp, err := os.CreateTemp(filepath.Dir(file), "master-*") // mode 0600
	if err != nil {
		return fmt.Errorf("the master key: %w", err)
	}
	defer os.Remove(tmp.Name())
	if _, err = fmt.Fprintln(tmp, base64.StdEncoding.EncodeToString(keys.NewMaster())); err == nil {
		err = tmp.Sync()
	}
	if err = errors.Join(err, tmp.Close()); err != nil {
		return fmt.Errorf("the master key: %w", err)
	}
	if err := os.Link(tmp.Name(), file); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("the master key: %w", err)
	}
	return nil
}
