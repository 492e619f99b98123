//! How samples become numbers.

/// How the samples of an insight become a number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// How many there are.
    Count,
    /// How many there are at the end of the window.
    Gauge,
    /// The share of samples that are 1.
    Share,
    /// Seconds, with mean and percentiles.
    Duration,
    /// The mean.
    Mean,
    /// Seconds, all together.
    Sum,
    /// How many distinct values there are.
    Distinct,
    /// How many distinct people there are.
    People,
    /// How many there are, divided by the days of the window.
    PerDay,
    /// How many distinct values there are, divided by the days of the window.
    DistinctPerDay,
    /// How many distinct values there are, divided by the days of the window from Monday to Friday.
    DistinctPerWorkingDay,
    /// Distinct people, as a share of those who are asked for.
    ShareOfPeople,
    /// How unevenly samples are spread over people: the Gini coefficient, where those who are asked for and gave none count too.
    Balance,
    /// How many there are at each hour of a week.
    Week,
    /// Seconds, with mean, and with percentiles that are no mean of two samples.
    DurationBelow,
    /// Samples that are 1, divided by those that are 0.
    Ratio,
}

impl Kind {
    /// As the API names it.
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

    /// Whether it has percentiles.
    #[must_use]
    pub const fn has_percentiles(self) -> bool {
        matches!(self, Self::Duration | Self::DurationBelow)
    }

    /// Whether its samples stand for things or people, and are no numbers.
    #[must_use]
    pub const fn is_distinct(self) -> bool {
        matches!(self, Self::Distinct | Self::DistinctPerDay | Self::DistinctPerWorkingDay) || self.is_of_people()
    }

    /// Whether its samples stand for people, and say nothing else.
    #[must_use]
    pub const fn is_of_people(self) -> bool {
        matches!(self, Self::People | Self::ShareOfPeople | Self::Balance)
    }

    /// What its numbers are in.
    #[must_use]
    pub const fn unit(self) -> &'static str {
        match self {
            Self::Count | Self::Gauge | Self::Distinct | Self::People | Self::Week => "count",
            Self::Share | Self::ShareOfPeople => "ratio from 0 to 1",
            Self::Balance => "0 where all did alike, towards 1 where one did everything",
            Self::Duration | Self::DurationBelow | Self::Sum => "seconds",
            Self::Mean => "mean count",
            Self::PerDay | Self::DistinctPerDay => "count per day",
            Self::DistinctPerWorkingDay => "count per working day",
            Self::Ratio => "count for each of the others",
        }
    }
}
