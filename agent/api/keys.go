package api

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"regexp"
)

// Keys lists which agents have which keys: the answer of GET /v1/keys and of key
// changes.
type Keys struct {
	Keys   []Key       `json:"keys"`
	Agents []KeyHolder `json:"agents"` // live ones
	// Absent agents are dead or cut off: their keys are not known.
	Absent   []KeyAbsent `json:"absent"`
	Warnings []string    `json:"warnings"`
}

// Key is one key, named by its id: the key itself is never shown.
type Key struct {
	ID      string   `json:"id"`      // 8 hexadecimal digits
	Sealing []string `json:"sealing"` // the agents that seal with it
	Holding []string `json:"holding"` // those that open with it
	Missing []string `json:"missing"` // live ones that answered and do not hold it
}

// KeyHolder is one agent and its keys.
type KeyHolder struct {
	Name  string   `json:"name"`
	ID    string   `json:"id"`
	Keys  []string `json:"keys"`  // ids, the sealing one first
	Kept  bool     `json:"kept"`  // it has a key file, so a restart keeps the keys
	Error string   `json:"error"` // why it did not answer
}

// KeyAbsent is an agent that could not be asked.
type KeyAbsent struct {
	Name string `json:"name"`
	Addr string `json:"addr"`
	// Sees says what it will see when it returns, and what to do.
	Sees string `json:"sees"`
}

// MarshalJSON writes empty lists as lists.
func (k Keys) MarshalJSON() ([]byte, error) {
	type plain Keys
	k.Keys, k.Agents, k.Absent, k.Warnings = filled(k.Keys), filled(k.Agents), filled(k.Absent), filled(k.Warnings)
	return json.Marshal(plain(k))
}

// MarshalJSON writes empty lists as lists.
func (k Key) MarshalJSON() ([]byte, error) {
	type plain Key
	k.Sealing, k.Holding, k.Missing = filled(k.Sealing), filled(k.Holding), filled(k.Missing)
	return json.Marshal(plain(k))
}

// MarshalJSON writes no keys as [].
func (k KeyHolder) MarshalJSON() ([]byte, error) {
	type plain KeyHolder
	k.Keys = filled(k.Keys)
	return json.Marshal(plain(k))
}

// KeyRequest is the body of POST /v1/keys/install (Key), /v1/keys/use and
// /v1/keys/remove (KeyID).
type KeyRequest struct {
	Key   string `json:"key,omitempty"` // base64 of 32 bytes
	KeyID string `json:"key_id,omitempty"`
}

// keySize is wire.KeySize; programs that only talk to an agent need not link package
// wire.
const keySize = 32

var keyID = regexp.MustCompile(`^[0-9a-f]{8}$`)

func (h *handler) keysList(w http.ResponseWriter, r *http.Request) error {
	keys, err := h.b.FlockCommands().Keys(r.Context())
	return reply(w, keys, err)
}

func (h *handler) keyInstall(ctx context.Context, in KeyRequest) (Keys, error) {
	key, err := base64.StdEncoding.Strict().DecodeString(in.Key)
	if err != nil || len(key) != keySize || in.KeyID != "" {
		return Keys{}, Input("field \"key\": want the base64 of %d bytes, and no other field", keySize)
	}
	return h.b.FlockCommands().InstallKey(ctx, key)
}

func (h *handler) keyUse(ctx context.Context, in KeyRequest) (Keys, error) {
	if err := in.checkID(); err != nil {
		return Keys{}, err
	}
	return h.b.FlockCommands().UseKey(ctx, in.KeyID)
}

func (h *handler) keyRemove(ctx context.Context, in KeyRequest) (Keys, error) {
	if err := in.checkID(); err != nil {
		return Keys{}, err
	}
	return h.b.FlockCommands().RemoveKey(ctx, in.KeyID)
}

func (in *KeyRequest) checkID() error {
	if !keyID.MatchString(in.KeyID) || in.Key != "" {
		return Input("field \"key_id\": %.20q: want 8 hexadecimal digits, as GET /v1/keys shows them, and no other field", in.KeyID)
	}
	return nil
}
