/** Sets NODE_ENV. It must be imported first: graphql-js reads it once, and is slower in any other mode. */
process.env['NODE_ENV'] ??= 'production';
