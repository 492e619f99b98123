//! Lists of columns for tables of which many rows are read. Reading by name compares texts for each value; a list gives
//! SQL its columns and the reader their places, so both always agree and a place costs nothing.

/// Makes a list of columns: a type, and a constant with `sql`, the columns for a `SELECT`, and the place of each column
/// in a row. `$rows` comes before each column in `sql`. With `after`, the list follows another one, which ends with the
/// named column, in the same `SELECT`.
macro_rules! column_list {
    (
        $(#[$note:meta])*
        $name:ident: $type:ident $(after $before:ident.$last:ident)?, $rows:literal,
        [$first:ident $(, $column:ident)* $(,)?]
    ) => {
        #[doc = concat!("Places of the columns of [`", stringify!($name), "`].")]
        pub(crate) struct $type {
            pub(crate) sql: &'static str,
            pub(crate) $first: usize,
            $(pub(crate) $column: usize,)*
        }

        $(#[$note])*
        pub(crate) const $name: $type = {
            let place = 0 $(+ $before.$last + 1)?;
            let $first = place;
            $(
                let place = place + 1;
                let $column = place;
            )*
            $type {
                sql: concat!($rows, stringify!($first) $(, ", ", $rows, stringify!($column))*),
                $first,
                $($column,)*
            }
        };
    };
}

pub(crate) use column_list;

#[cfg(test)]
mod tests {
    column_list!(PEAK: PeakColumns, "p.", [name, height]);
    column_list!(ROUTE: RouteColumns after PEAK.height, "", [grade]);

    #[test]
    fn a_list_numbers_its_columns_and_those_of_the_list_before_it() {
        assert_eq!((PEAK.sql, ROUTE.sql), ("p.name, p.height", "grade"));
        assert_eq!((PEAK.name, PEAK.height, ROUTE.grade), (0, 1, 2));
    }
}
