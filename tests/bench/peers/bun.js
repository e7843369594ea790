// Bun.serve with its router and, for the row, Bun.SQL with its prepared statements.
import { SQL } from 'bun'

const sql = process.env.DATABASE_URL ? new SQL(process.env.DATABASE_URL, { max: Number(process.env.DATABASE_CONNECTIONS) }) : null

Bun.serve({
  hostname: '127.0.0.1',
  port: Number(process.env.PORT),
  routes: {
    '/json': () => Response.json({ message: 'hello' }),
    '/row/:id': async (request) => {
      const rows = await sql`SELECT id, title, body FROM bench WHERE id = ${Number(request.params.id)}`
      return rows.length ? Response.json(rows[0]) : new Response('not found', { status: 404 })
    }
  }
})
