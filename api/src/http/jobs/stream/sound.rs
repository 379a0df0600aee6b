//! The sound of a stream: renditions beside its video, in parts that a worker writes while the film is made.

use axum::response::Response;
use clearfleet_common::ErrorCode;
use clearfleet_common::job::{Failure, Plan, PlannedSound, State};
use clearfleet_common::storage::{ObjectKey, PlanKey, Storage};

use super::{Film, Waited, kept, playlist, uncached};
use crate::http::{AppState, Problem};

/// How players get what belongs to sound.
const TYPE: &str = "audio/mp4";

/// What the playlists name of sound; renditions are counted from 0, and so are parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SoundName {
    /// `sound0.m3u8`.
    Playlist(u32),
    /// `sound0-init.mp4`.
    Header(u32),
    /// `sound0-12.m4s`.
    Part(u32, u64),
}

impl SoundName {
    /// What a name names.
    pub(super) fn parse(name: &str) -> Option<Self> {
        let name = name.strip_prefix("sound")?;
        if let Some(track) = name.strip_suffix(".m3u8") {
            return Some(Self::Playlist(track.parse().ok()?));
        }
        let (track, rest) = name.split_once('-')?;
        let track = track.parse().ok()?;
        match rest.strip_suffix(".m4s") {
            Some(part) => Some(Self::Part(track, part.parse().ok()?)),
            None => (rest == "init.mp4").then_some(Self::Header(track)),
        }
    }

    fn track(self) -> u32 {
        match self {
            Self::Playlist(track) | Self::Header(track) | Self::Part(track, _) => track,
        }
    }
}

/// An object of the sound that was waited for.
enum Found {
    There(bytes::Bytes),
    /// It will not come.
    Never(Failure),
}

impl Film {
    /// The sound of the stream as it is listed: once it comes, so that a player does not wait for what nobody writes. Nothing
    /// where the source has none, where it cannot be written, or where no worker is there for it.
    pub(super) async fn sound<'a>(
        &self,
        state: &AppState,
        plan: &'a Plan,
    ) -> Result<Option<&'a PlannedSound>, Problem> {
        let Some(sound) = &plan.sound else {
            return Ok(None);
        };
        let look = || self.find_sound(&state.storage, ObjectKey::SoundHeader(self.sound_key(sound), 0));
        let found = if self.record.state == State::Done {
            look().await?
        } else {
            match self.wait_until(state, None, look).await? {
                Waited::Found(found) => Some(found),
                Waited::Ended | Waited::Late => None,
            }
        };
        Ok(matches!(found, Some(Found::There(_))).then_some(sound))
    }

    /// What a playlist names of the sound.
    pub(super) async fn sound_part(&self, state: &AppState, name: SoundName) -> Result<Response, Problem> {
        let no_such = || Problem::new(ErrorCode::NotFound, "the stream has no such part");
        let plan = self.plan(state).await?;
        let sound = plan.sound.as_ref();
        let sound = sound.filter(|sound| (name.track() as usize) < sound.tracks.len());
        let (sound, (start, end)) = sound.zip(plan.shown()).ok_or_else(no_such)?;
        let bounds = sound.parts(end - start);
        let key = match name {
            SoundName::Playlist(track) => return Ok(uncached(playlist::of_sound(track, &bounds))),
            SoundName::Header(track) => ObjectKey::SoundHeader(self.sound_key(sound), track),
            SoundName::Part(_, part) if part >= bounds.len() as u64 - 1 => return Err(no_such()),
            SoundName::Part(track, part) => ObjectKey::SoundPart(self.sound_key(sound), track, part),
        };
        match self.wait(state, None, || self.find_sound(&state.storage, key)).await? {
            Found::There(bytes) => Ok(kept(TYPE, bytes.len() as u64, bytes.into())),
            Found::Never(failure) => {
                let detail = format!("the stream has no sound: {}", failure.message);
                Err(Problem::new(ErrorCode::NotFound, detail))
            }
        }
    }

    fn sound_key(&self, sound: &PlannedSound) -> PlanKey {
        PlanKey {
            plan: sound.plan,
            ..self.key
        }
    }

    /// The object, or why there will be none; nothing where that is not known yet.
    async fn find_sound(&self, storage: &Storage, key: ObjectKey) -> Result<Option<Found>, Problem> {
        if let Some(stored) = storage.get(ObjectKey::SoundFailure(self.key)).await? {
            let failure = serde_json::from_slice(&stored.body).map_err(Problem::internal)?;
            return Ok(Some(Found::Never(failure)));
        }
        Ok(storage.get(key).await?.map(|stored| Found::There(stored.body)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_playlists() {
        for (name, expected) in [
            ("sound0.m3u8", Some(SoundName::Playlist(0))),
            ("sound12-init.mp4", Some(SoundName::Header(12))),
            ("sound1-40.m4s", Some(SoundName::Part(1, 40))),
            ("sound.m3u8", None),
            ("sound0-init.m4s", None),
            ("sound0-1.mp4", None),
            ("sound0", None),
            ("sound-1.m4s", None),
            ("0.m4s", None),
        ] {
            assert_eq!(SoundName::parse(name), expected, "{name}");
        }
    }
}
