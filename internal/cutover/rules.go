package cutover

// rules switches single rules of the engine off. The product always runs with
// the zero value: every rule on. Tests and the model checker switch one off
// and must find the trace that the rule prevents; a rule whose removal nobody
// notices is no rule.
//
// The nine rules of design.md, and what each field takes away from them:
type rules struct {
	// 1. S3 sees the other side.
	s3OtherUnread bool // S3 though the other side was not read in this round
	resolvingIsOK bool // RESOLVING taken for SECONDARY
	// 2. S3 is exclusive both ways and for good.
	backAfterS3     bool // the way back though S3 was journalled on the target
	reviseGoingBack bool // forward again after "going back"
	// 3. Two engines never cross.
	ignoreOtherRun bool // another run id in master is not looked at
	// 4. Proof is not renewed across a failover of the source.
	proofOtherInstance bool // the source on another instance: prove again there
	proofPresentOnly   bool // the highest source LSN since the pin is not looked at
	proofSurvives      bool // a proof and its samples outlive a restart of a side
	// 5. Done looks at the proof.
	doneOnRole bool // a target that reads PRIMARY is done
	// 6. A role that our journal does not explain is a page.
	adoptRoles  bool // whatever the roles are, they are taken for ours
	keepRefused bool // a refused S2 leaves its entry standing
	// 7. Aborted, rolled back only after settle.
	endEarly         bool // without waiting for what may still land
	settleWhileBlind bool // settle goes on while the side cannot be read
	// 8. A page does not end the duty.
	releaseOnce   bool // RSSTC=0 is sent once
	leaveRequired bool // RSSTC=0 is not sent on the way back
	promoteFenced bool // S3 on a side whose own RSSTC is not 0
	// 9. Hold after S2 stops S3, not the clock.
	holdStopsClock bool

	// Beside the nine.
	blindRetry     bool // a statement of unknown outcome is sent again at once
	zerosEqual     bool // two unknown LSNs are equal
	unknownOpen    bool // an unknown gate is open
	oneSideS1      bool // S1 on the source only
	noRest         bool // one sample is rest
	noQuiet        bool // open transactions are not looked at
	noDrain        bool // S2 without the mark
	noProof        bool // S3 without a proof
	tailUnhardened bool // equal columns prove, though no disk of the target holds the last block
	noExposure     bool // RSSTC=1 stands as long as it takes
	skipGates      bool // step 6 left out
	forgetIntent   bool // the answer is awaited before the entry is journalled
}
