//! Abilities: the pieces that the built-in roles are made of, and that a role of an application's own making chooses from.

use serde::{Deserialize, Serialize};

use super::Role;

macro_rules! abilities {
    ($($(#[$doc:meta])* $name:ident $word:literal $least:ident $sees:ident,)*) => {
        /// Something a role allows in an application. Its number is on disk: new ones are added at the end only.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Ability {
            $($(#[$doc])* $name,)*
        }

        impl Ability {
            /// Every ability.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The word for it: part of the API and of audit records.
            #[must_use]
            pub fn word(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }

            /// The least of the built-in roles that has it.
            #[must_use]
            pub fn least(self) -> Role {
                match self { $(Self::$name => Role::$least,)* }
            }

            /// As which built-in role one must see an application's assets for it to be of use.
            fn sees(self) -> Role {
                match self { $(Self::$name => Role::$sees,)* }
            }
        }
    };
}

abilities! {
    /// Watching.
    Watch "watch" Viewer Viewer,
    /// Downloading a rendition.
    Download "download" Viewer Viewer,
    /// Downloading the original.
    DownloadOriginal "download_original" Viewer Viewer,
    /// Seeing what is not published, the trash, and work under way.
    SeeAll "see_all" ReadOnly ReadOnly,
    /// Uploading, and giving up an upload.
    Upload "upload" User ReadOnly,
    /// Title, description, tags, fields, poster and captions.
    Describe "describe" User ReadOnly,
    /// Publishing and unpublishing.
    Publish "publish" User ReadOnly,
    /// Who may watch, and ending running Views. Who decides that may watch everything.
    Access "access" User User,
    /// To the trash and back.
    Trash "trash" User ReadOnly,
    /// Making, renaming and removing collections.
    Collections "collections" User ReadOnly,
    /// Stopping and repeating work on an asset.
    Process "process" User ReadOnly,
    /// Removing for good.
    Purge "purge" Admin ReadOnly,
    /// Legal hold.
    Hold "hold" Admin ReadOnly,
    /// How long a collection's assets are kept.
    Retention "retention" Admin ReadOnly,
    /// Members, invitations and roles, none of which allow more than one's own.
    Members "members" Admin Viewer,
    /// API keys, none of which allow more than one's own role.
    Keys "keys" Admin Viewer,
    /// The application's name and settings.
    Settings "settings" Admin Viewer,
    /// The application's audit log.
    Audit "audit" Admin Viewer,
    /// The node's counters, with an API key.
    Metrics "metrics" Admin Viewer,
}

/// A set of abilities.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Abilities(u32);

impl Abilities {
    /// None.
    pub const NONE: Self = Self(0);

    /// All that a built-in role allows.
    #[must_use]
    pub fn of(role: Role) -> Self {
        Ability::ALL.iter().copied().filter(|ability| ability.least() <= role).collect()
    }

    /// With one more.
    #[must_use]
    pub fn with(self, ability: Ability) -> Self {
        Self(self.0 | 1 << ability as u32)
    }

    /// Whether it is among them.
    #[must_use]
    pub fn contains(self, ability: Ability) -> bool {
        self.0 & (1 << ability as u32) != 0
    }

    /// Those that are not among `others`.
    #[must_use]
    pub fn beyond(self, others: Self) -> Self {
        Self(self.0 & !others.0)
    }

    /// Whether all of them are among `others`.
    #[must_use]
    pub fn is_within(self, others: Self) -> bool {
        self.beyond(others) == Self::NONE
    }

    /// One by one, in the order they are declared in.
    pub fn iter(self) -> impl Iterator<Item = Ability> {
        Ability::ALL.iter().copied().filter(move |ability| self.contains(*ability))
    }

    /// Without bits that this release knows no ability for.
    #[must_use]
    pub fn known(self) -> Self {
        self.iter().collect()
    }

    /// As which built-in role whoever has them sees an application's assets.
    #[must_use]
    pub fn sees_as(self) -> Role {
        self.iter().map(Ability::sees).max().unwrap_or(Role::Viewer)
    }

    /// With seeing all, where another one is of no use without it.
    #[must_use]
    pub fn completed(self) -> Self {
        if self.sees_as() >= Role::ReadOnly { self.with(Ability::SeeAll) } else { self }
    }
}

impl FromIterator<Ability> for Abilities {
    fn from_iter<I: IntoIterator<Item = Ability>>(abilities: I) -> Self {
        abilities.into_iter().fold(Self::NONE, Self::with)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_built_in_role_allows_what_the_lesser_ones_do_and_more() {
        for pair in [Role::Viewer, Role::ReadOnly, Role::User, Role::Admin].windows(2) {
            let (less, more) = (Abilities::of(pair[0]), Abilities::of(pair[1]));
            assert!(less.is_within(more) && !more.is_within(less), "{pair:?}");
        }
        assert!(Ability::ALL.iter().all(|ability| Abilities::of(Role::Admin).contains(*ability)));
    }

    #[test]
    fn a_role_that_changes_assets_sees_them_all() {
        let uploads = Abilities::from_iter([Ability::Upload]).completed();
        assert_eq!(uploads.iter().collect::<Vec<_>>(), [Ability::SeeAll, Ability::Upload]);
        assert_eq!(uploads.sees_as(), Role::ReadOnly);
        let watches = Abilities::from_iter([Ability::Watch, Ability::Metrics]);
        assert_eq!((watches.completed(), watches.sees_as()), (watches, Role::Viewer));
        assert_eq!(Abilities::of(Role::User).sees_as(), Role::User);
    }

    #[test]
    fn bits_of_a_later_release_are_told_apart() {
        let foreign = Abilities(1 << 31).with(Ability::Watch);
        assert_eq!(foreign.known(), Abilities::from_iter([Ability::Watch]));
        assert_ne!(foreign.known(), foreign);
    }
}
