use serde::{Deserialize, Serialize};

/// Where a job is in its life.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    Serialize,
    Deserialize,
    strum::Display,
    strum::EnumString,
    strum::IntoStaticStr,
    strum::VariantArray,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum State {
    /// Its source is on the way.
    Uploading,
    /// Its source is there; nothing has been done yet.
    Queued,
    /// A worker looks at the source and cuts it into batches.
    Planning,
    /// Batches are upscaled.
    Running,
    /// Somebody paused it; what is finished is kept.
    Paused,
    /// All batches are finished; a worker puts the result together.
    Assembling,
    /// The result is there.
    Done,
    /// It could not be done; the record says why.
    Failed,
    /// Somebody cancelled it.
    Cancelled,
    /// Its source and result were deleted after their time; the record stays a while.
    Expired,
}

/// What a person can ask of a job.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    Serialize,
    Deserialize,
    strum::Display,
    strum::IntoStaticStr,
    strum::VariantArray,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Command {
    /// End it; finished batches are kept for a retry.
    Cancel,
    /// Begin no further batch.
    Pause,
    /// Go on after a pause.
    Resume,
    /// Do what a failed or cancelled job lacks.
    Retry,
    /// Make another result from the same source, as the record's request now says.
    Redo,
    /// End it and delete everything of it.
    Delete,
}

/// A command that does not go with a job's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a job that is {state} cannot {command}")]
pub struct IllegalCommand {
    /// What was asked.
    pub command: Command,
    /// The state it was asked in.
    pub state: State,
}

impl State {
    /// Whether nothing happens any more unless somebody asks.
    pub fn is_ended(self) -> bool {
        matches!(self, Self::Done | Self::Failed | Self::Cancelled | Self::Expired)
    }

    /// Whether a scheduler must look at it: its key is under `active/`.
    pub fn is_active(self) -> bool {
        !self.is_ended()
    }

    /// The state that a command leads to; nothing where the job is to be deleted.
    ///
    /// # Errors
    /// If the command does not go with this state.
    pub fn after(self, command: Command) -> Result<Option<Self>, IllegalCommand> {
        let next = match (command, self) {
            (Command::Delete, _) => return Ok(None),
            (Command::Cancel, state) if state.is_active() => Self::Cancelled,
            (Command::Pause, Self::Queued | Self::Planning | Self::Running | Self::Paused) => Self::Paused,
            (Command::Resume, Self::Paused) => Self::Queued,
            (Command::Resume, Self::Queued | Self::Planning | Self::Running | Self::Assembling) => self,
            (Command::Retry, Self::Failed | Self::Cancelled) => Self::Queued,
            (Command::Redo, Self::Done) => Self::Queued,
            _ => return Err(IllegalCommand { command, state: self }),
        };
        Ok(Some(next))
    }

    /// Whether a scheduler may change a job from this state to `next` by the course of the work itself.
    pub fn may_become(self, next: Self) -> bool {
        use State as S;
        matches!(
            (self, next),
            (S::Uploading, S::Queued | S::Paused | S::Failed)
                | (
                    S::Queued,
                    S::Planning | S::Running | S::Assembling | S::Failed | S::Paused
                )
                | (S::Planning, S::Queued | S::Running | S::Failed | S::Paused)
                | (
                    S::Running,
                    S::Planning | S::Queued | S::Assembling | S::Done | S::Failed | S::Paused
                )
                | (S::Assembling, S::Running | S::Done | S::Failed | S::Paused)
                | (S::Done | S::Failed | S::Cancelled, S::Expired)
        )
    }
}

#[cfg(test)]
mod tests {
    use strum::VariantArray;

    use super::*;

    #[test]
    fn each_command_goes_with_its_states() {
        let legal = |command: Command| -> Vec<State> {
            let states = State::VARIANTS.iter().copied();
            states.filter(|state| state.after(command).is_ok()).collect()
        };
        use State as S;
        assert_eq!(
            legal(Command::Cancel),
            [
                S::Uploading,
                S::Queued,
                S::Planning,
                S::Running,
                S::Paused,
                S::Assembling
            ]
        );
        assert_eq!(legal(Command::Pause), [S::Queued, S::Planning, S::Running, S::Paused]);
        assert_eq!(
            legal(Command::Resume),
            [S::Queued, S::Planning, S::Running, S::Paused, S::Assembling]
        );
        assert_eq!(legal(Command::Retry), [S::Failed, S::Cancelled]);
        assert_eq!(legal(Command::Redo), [S::Done]);
        assert_eq!(legal(Command::Delete), State::VARIANTS);
        assert_eq!(
            S::Done.after(Command::Pause).unwrap_err().to_string(),
            "a job that is done cannot pause"
        );
    }

    #[test]
    fn an_ended_job_only_expires() {
        for state in State::VARIANTS.iter().filter(|s| s.is_ended()) {
            for next in State::VARIANTS {
                let may = *next == State::Expired && *state != State::Expired;
                assert_eq!(state.may_become(*next), may, "{state} to {next}");
            }
        }
    }
}
