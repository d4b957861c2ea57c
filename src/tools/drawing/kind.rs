//! The types of states.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Task,
    Pass,
    Choice,
    Wait,
    Succeed,
    Fail,
    Map,
    Parallel,
}

impl Kind {
    pub(super) const ALL: [(&'static str, Self); 8] = [
        ("Task", Self::Task),
        ("Pass", Self::Pass),
        ("Choice", Self::Choice),
        ("Wait", Self::Wait),
        ("Succeed", Self::Succeed),
        ("Fail", Self::Fail),
        ("Map", Self::Map),
        ("Parallel", Self::Parallel),
    ];

    pub(super) fn read(name: &str) -> Option<Self> {
        let mut all = Self::ALL.iter();
        all.find(|(known, _)| *known == name).map(|(_, kind)| *kind)
    }

    /// As ASL spells it.
    pub fn name(self) -> &'static str {
        let mut all = Self::ALL.iter();
        all.find(|(_, kind)| *kind == self)
            .map_or("", |(name, _)| name)
    }
}
