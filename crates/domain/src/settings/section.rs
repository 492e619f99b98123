//! The macro that declares a section of the settings.

/// Declares a section: a struct that refuses unknown settings, its defaults, and its `REFERENCE`.
///
/// A macro is needed because only a macro sees doc comments. The calling crate needs `serde` with `derive`.
///
/// ```
/// use quickdraw_domain::settings::Span;
///
/// quickdraw_domain::section! {
///     /// History of events.
///     pub struct HistorySection as "history" {
///         /// Time after which
///         /// events are deleted.
///         retention: Span = Span::days(14),
///     }
/// }
/// let [retention] = HistorySection::REFERENCE.settings else { panic!("one setting") };
/// assert_eq!((retention.name, retention.meaning), ("retention", "Time after which events are deleted."));
/// assert_eq!(HistorySection::default().retention, Span::days(14));
/// ```
#[macro_export]
macro_rules! section {
    (
        $(#[doc = $about:literal])+
        $vis:vis struct $Section:ident as $section:literal {
            $(
                $(#[doc = $meaning:literal])+
                $name:ident: $type:ty = $default:expr,
            )+
        }
    ) => {
        $(#[doc = $about])+
        #[derive(Clone, serde::Serialize, serde::Deserialize)]
        #[serde(default, deny_unknown_fields)]
        $vis struct $Section {
            $(
                $(#[doc = $meaning])+
                $vis $name: $type,
            )+
        }

        impl Default for $Section {
            fn default() -> Self {
                Self { $($name: $default,)+ }
            }
        }

        impl $Section {
            /// The reference of this section.
            $vis const REFERENCE: $crate::settings::Reference = $crate::settings::Reference {
                section: $section,
                about: $crate::settings::without_blank(concat!($($about),+)),
                settings: &[$(
                    $crate::settings::Setting {
                        name: stringify!($name),
                        meaning: $crate::settings::without_blank(concat!($($meaning),+)),
                    },
                )+],
            };
        }
    };
}

/// A doc comment without the blank that follows its slashes.
#[doc(hidden)]
#[must_use]
pub const fn without_blank(comment: &str) -> &str {
    comment.trim_ascii()
}
