//! The ways in which samples become a number.

/// The way in which the samples of a metric become a number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Number of samples.
    Count,

    /// Number of samples at the end of the window.
    Gauge,

    /// Share of samples that are 1.
    Share,

    /// Seconds, with mean and percentiles.
    Duration,

    /// Mean of the samples.
    Mean,

    /// Sum of seconds.
    Sum,

    /// Number of distinct values.
    Distinct,

    /// Number of distinct people.
    People,

    /// Number of samples per day of the window.
    PerDay,

    /// Number of distinct values per day of the window.
    DistinctPerDay,

    /// Number of distinct values per day from Monday to Friday.
    DistinctPerWorkingDay,

    /// Distinct people as a share of the selected members.
    ShareOfPeople,

    /// Gini coefficient over people. Selected members without samples count with 0.
    Balance,

    /// Number of samples in each hour of the week.
    Week,

    /// Seconds, with mean, and with percentiles that are not interpolated.
    DurationBelow,

    /// Number of samples that are 1, divided by the number of samples that are 0.
    Ratio,
}

impl Kind {
    /// The name in the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Gauge => "gauge",
            Self::Share => "share",
            Self::Duration | Self::DurationBelow => "duration",
            Self::Mean => "mean",
            Self::Sum => "sum",
            Self::Distinct | Self::People => "distinct",
            Self::PerDay | Self::DistinctPerDay => "per_day",
            Self::DistinctPerWorkingDay => "per_working_day",
            Self::ShareOfPeople => "share_of_people",
            Self::Balance => "balance",
            Self::Week => "week",
            Self::Ratio => "ratio",
        }
    }

    /// True for kinds with percentiles.
    #[must_use]
    pub const fn has_percentiles(self) -> bool {
        matches!(self, Self::Duration | Self::DurationBelow)
    }

    /// True if the samples identify objects or people.
    #[must_use]
    pub const fn is_distinct(self) -> bool {
        matches!(
            self,
            Self::Distinct | Self::DistinctPerDay | Self::DistinctPerWorkingDay
        ) || self.is_of_people()
    }

    /// True if the samples identify people.
    #[must_use]
    pub const fn is_of_people(self) -> bool {
        matches!(self, Self::People | Self::ShareOfPeople | Self::Balance)
    }

    /// The unit of the number.
    #[must_use]
    pub const fn unit(self) -> &'static str {
        match self {
            Self::Count | Self::Gauge | Self::Distinct | Self::People | Self::Week => "count",
            Self::Share | Self::ShareOfPeople => "ratio from 0 to 1",
            Self::Balance => "0 (evenly spread) to 1 (one person did everything)",
            Self::Duration | Self::DurationBelow | Self::Sum => "seconds",
            Self::Mean => "mean count",
            Self::PerDay | Self::DistinctPerDay => "count per day",
            Self::DistinctPerWorkingDay => "count per working day",
            Self::Ratio => "ratio of two counts",
        }
    }
}
