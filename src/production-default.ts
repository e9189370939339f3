/** Imported first: graphql-js reads the mode once, when it is loaded, and checks much more in any other mode. */
process.env['NODE_ENV'] ??= 'production';
