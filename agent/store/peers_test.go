package store_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"duckduckgoose/agent/election"
	"duckduckgoose/agent/store"
	"duckduckgoose/agent/store/memfs"

	"github.com/stretchr/testify/require"
)

func peers(n int) []store.Peer {
	var ps []store.Peer
	for i := range n {
		ps = append(ps, store.Peer{Name: fmt.Sprintf("agent-%d", i), Addr: "[fe80::1%eth0]:3825", ID: election.ID{1, byte(i >> 8), byte(i)}})
	}
	return ps
}

func TestPeersAreThereAtTheNextStart(t *testing.T) {
	disk := memfs.New(1)
	for _, n := range []int{3, store.MaxPeers, 0, 1} {
		st := reopen(t, disk)
		require.NoError(t, st.SavePeers(peers(n)))
		require.Equal(t, peers(n), st.Peers())
		require.NoError(t, st.Close())
		st = reopen(t, disk)
		require.NoError(t, st.PeersErr())
		require.Equal(t, peers(n), st.Peers())
		require.NoError(t, st.Close())
	}
}

func TestPeersBeyondTheBoundAreLeftOut(t *testing.T) {
	st := reopen(t, memfs.New(1))
	require.NoError(t, st.SavePeers(peers(store.MaxPeers+1)))
	require.Equal(t, peers(store.MaxPeers), st.Peers())
	require.ErrorContains(t, st.SavePeers([]store.Peer{{Name: strings.Repeat("x", 600)}}), "at most 511")
}

func TestUnchangedPeersAreNotWritten(t *testing.T) {
	disk := memfs.New(1)
	st := reopen(t, disk)
	require.NoError(t, st.SavePeers(peers(2)))
	ops := disk.Ops()
	require.NoError(t, st.SavePeers(peers(2)))
	require.Equal(t, ops, disk.Ops())
}

// A new state file beside peers would be a new agent that may found a flock of its own, beside the one it was in.
func TestNoNewStateIsMadeBesidePeers(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	open := func() *store.Store {
		st, err := store.Open(dir, nil)
		require.NoError(t, err)
		return st
	}
	st := open()
	require.NoError(t, st.SavePeers(peers(1)))
	require.NoError(t, st.Close())
	require.NoError(t, os.Remove(filepath.Join(dir, store.StateFile)))
	st = open() // it knew only itself
	require.NoError(t, st.SavePeers(peers(2)))
	require.NoError(t, st.Close())
	require.NoError(t, os.Remove(filepath.Join(dir, store.StateFile)))
	_, err := store.Open(dir, nil)
	require.ErrorIs(t, err, store.ErrMissing)
	require.ErrorContains(t, err, filepath.Join(dir, "state")+" is missing, but this agent may have been in a flock")
	require.NoFileExists(t, filepath.Join(dir, store.StateFile))
	st, err = store.Open(dir, nil, store.WithJoining())
	require.NoError(t, err)
	require.NoError(t, st.Close())
}

func TestBrokenPeersFileIsOnlyAWarning(t *testing.T) {
	disk := memfs.New(1)
	st := reopen(t, disk)
	want, err := st.Begin()
	require.NoError(t, err)
	require.NoError(t, st.SavePeers(peers(2)))
	require.NoError(t, st.Close())
	require.NoError(t, disk.Damage(dir+"/peers", 4, []byte("\x00\xff")))

	st = reopen(t, disk)
	require.Equal(t, want, st.State())
	require.Empty(t, st.Peers())
	require.ErrorContains(t, st.PeersErr(), dir+"/peers is not used: line 1: ")
	require.NoError(t, st.SavePeers(nil), "even an empty list replaces it")
	require.NoError(t, st.PeersErr())
	require.NoError(t, st.Close())
	require.NoError(t, reopen(t, disk).PeersErr())
}

func TestFailedSaveOfPeersHarmsNoVote(t *testing.T) {
	disk := memfs.New(1)
	st := reopen(t, disk)
	disk.FailFrom(disk.Ops()+1, syscall.ENOSPC)
	require.ErrorIs(t, st.SavePeers(peers(2)), store.ErrFull)
	require.Equal(t, peers(2), st.Peers(), "they serve this process all the same")
	disk.Fail(nil)
	_, err := st.Begin()
	require.NoError(t, err)
	require.NoError(t, st.SavePeers(peers(2)), "what failed is tried again")
	require.NoError(t, st.Close())
	require.Equal(t, peers(2), reopen(t, disk).Peers())
}
