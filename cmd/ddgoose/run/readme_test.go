package run

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// shownBy names the tests that show each row of the tables "what happens" in the handbook, by the row's first cell.
var shownBy = map[string][]string{
	"the lease is not renewed (the agent is dead, stopped or cut off; its socket is gone)": {
		"TestAllIsGoneBeforeTheLeaseCanEnd", "TestNoTwoCommandsAreAliveAtOnce", "TestKillComesWhenTheLeaseSaysThoughStopIsBusy",
	},
	"`run` itself is killed or stopped": {
		"TestAllIsGoneBeforeTheLeaseCanEnd", "TestSilentRunIsAnUnrenewedLeaseAndTheAgentStepsDown", "TestKeepLeavesTheGooseWhereItIs",
	},
	"the guard is killed or stopped": {
		"TestDeadGuardIsReplacedAndItsWorkKilledFirst", "TestStoppedGuardIsReplacedInsideTheLease", "TestHolderWithHeirsIsBoundUntilItsDeadline",
	},
	"`run` and its guard are both stopped": {
		"TestStoppedRunAndGuardLoseTheGooseToOtherWork", "TestStoppedRunAndGuardKeepTheGooseWhereNobodyElseWorks",
		"TestSilentWorkThatMayStillActIsKilledOrKeepsTheGoose",
	},
	"`run` and its guard are both killed":           {"TestKilledRunAndGuardLeaveNothing", "TestHolderWithHeirsIsBoundUntilItsDeadline"},
	"`run`, its guard and the agent are all killed": {"TestTheNextRunKillsWhatOutlivedAgentRunAndGuard"},
	"step-down, stop of the agent": {
		"TestNoTwoCommandsAreAliveAtOnce", "TestAStopOfTheAgentGrantsTheCommandsOwnGrace", "TestEveryPlannedEndHandsOverWhenAllWorksHaveReturned",
	},
	"SIGTERM or SIGINT to `run`": {
		"TestSignalStopsTheCommandWithGraceAndIsNoError", "TestStubbornCommandIsKilledAfterTheGrace", "TestKeepLeavesTheGooseWhereItIs",
	},
	"the command ends by itself":                              {"TestExitCodeIsTheCommandsAndTheAgentStepsDown", "TestRestartStaysInThePeriod"},
	"another agent is the goose, or no agent answers":         {"TestRunSaysWhatItWaitsForOncePerChange", "TestRunWaitsForAnAgentForEver", "TestTryGivesUpWhereTheGooseIsNot"},
	"a second `run` beside the same agent and election":       {"TestTwoRunsBesideOneAgentTakeTurnsUnlessTheyShare"},
	"step-down, stop of the agent, SIGTERM to `vip`":          {"TestOneHostHasTheVirtualAddress"},
	"the agent is dead, stopped or cut off, its link is down": {"TestOneHostHasTheVirtualAddress"},
	"`vip` is dead or stopped":                                {"TestOneHostHasTheVirtualAddress"},
	"the guard is dead or stopped":                            {"TestOneHostHasTheVirtualAddress"},
	"`vip` and guard are both dead or stopped, the agent is alive": {
		"TestOneHostHasTheVirtualAddress", "TestHolderThatAnswersNothingLosesTheGooseToOtherWork", "TestRule28WorkThatDoesNotAnswerIsNone",
	},
	"agent, `vip` and guard are all dead or stopped":                        {"TestOneHostHasTheVirtualAddress", "TestTheKernelRemovesWhatNoLeaseRenews"},
	"the machine sleeps, or its virtual machine is paused, and wakes later": {"TestTheBootClockJudgesTheLease", "TestOneHostHasTheVirtualAddress"},
	"keepalived: the process is killed or hangs, or both sides are cut off": {"TestKeepalivedThatIsKilledLeavesItsAddress"},
	"vip-manager: the process is killed or hangs":                           {"TestVIPManagerThatIsKilledLeavesItsAddress"},
}

func TestEveryRowOfWhatHappensHasATest(t *testing.T) {
	tests := testNames(t, ".", "../../../agent", "../../../netem/lab")
	handbook := whatHappens(t)
	for row := range handbook {
		require.NotEmpty(t, shownBy[row], "no test is named for the row %q", row)
	}
	for row, names := range shownBy {
		require.Contains(t, handbook, row, "no table has this row")
		for _, name := range names {
			require.True(t, tests[name], "row %q names %s, which is no test", row, name)
		}
	}
}

// whatHappens returns the first cells of the tables "what happens" in the handbook.
func whatHappens(t *testing.T) map[string]bool {
	t.Helper()
	text, err := os.ReadFile("../README.md")
	require.NoError(t, err)
	rows, inTable := map[string]bool{}, false
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(line, "|")
		switch {
		case len(cells) < 3:
			inTable = false
		case strings.TrimSpace(cells[1]) == "what happens":
			inTable = true
		case inTable && !strings.HasPrefix(cells[1], "---"):
			rows[strings.TrimSpace(cells[1])] = true
		}
	}
	return rows
}

// testNames gives the tests in and below some folders.
func testNames(t *testing.T, dirs ...string) map[string]bool {
	t.Helper()
	names, declared := map[string]bool{}, regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	for _, dir := range dirs {
		require.NoError(t, filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, "_test.go") {
				return err
			}
			text, err := os.ReadFile(path)
			for _, match := range declared.FindAllStringSubmatch(string(text), -1) {
				names[match[1]] = true
			}
			return err
		}))
	}
	return names
}
