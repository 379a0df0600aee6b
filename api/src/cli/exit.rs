use clearfleet_common::{ErrorClass, ErrorCode};

/// What `--help` says of exit codes.
pub(super) const HELP: &str = "Exit codes: 0 done; 1 a fault of Clearfleet itself; 2 the command line is wrong; \
3 the input is refused; 4 the request or the output is refused; 5 the work failed; 6 the result does not match its \
source; 130 stopped.\nErrors carry a stable code, such as input_damaged; --json prints them whole.";

/// The exit code that tells a script who has to act.
pub(super) fn exit_code(code: ErrorCode) -> u8 {
    match code.class() {
        ErrorClass::Internal => 1,
        ErrorClass::Input => 3,
        ErrorClass::Request => 4,
        ErrorClass::Work => 5,
        ErrorClass::Mismatch => 6,
        ErrorClass::Stopped => 130,
    }
}
